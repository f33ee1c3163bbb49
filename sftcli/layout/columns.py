"""Which columns a shard has, and what stands in each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sftcli.batch import IGNORE, Rows

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class _Column:
    """A column of lists with one value for each token: the type of a value, and how they are made."""

    type: str
    values: Callable[[Rows], npt.NDArray[Any]]


def _labels(rows: Rows) -> npt.NDArray[np.int32]:
    """int32[T]: the id where a token is trained, else IGNORE; not shifted."""
    return np.where(rows.trained, rows.ids, np.int32(IGNORE))


_PER_TOKEN = {
    "input_ids": _Column("int32", lambda rows: rows.ids),
    "attention_mask": _Column("int8", lambda rows: np.ones(len(rows.ids), np.int8)),
    "labels": _Column("int32", _labels),
}


@dataclass(frozen=True)
class Layout:
    """The columns of every shard of a run, by name, in order: lists without nulls."""

    names: tuple[str, ...] = ("input_ids", "attention_mask", "labels")

    @cached_property
    def schema(self) -> "pa.Schema":
        import pyarrow as pa

        return pa.schema([(name, pa.list_(pa.type_for_alias(_PER_TOKEN[name].type))) for name in self.names])

    def batches(self, rows: Rows) -> Iterator["pa.RecordBatch"]:
        """The rows as they are written; the arrays are shared, not copied."""
        import pyarrow as pa

        offsets = _array(rows.offsets.astype(np.int32))
        values = (_PER_TOKEN[name].values(rows) for name in self.names)
        columns = [pa.ListArray.from_arrays(offsets, _array(column)) for column in values]
        yield pa.record_batch(columns, schema=self.schema)


def _array(values: npt.NDArray[Any]) -> "pa.Array":
    import pyarrow as pa

    # pa.array would do the same, and import pandas first wherever that is installed.
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])
