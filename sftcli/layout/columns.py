"""The columns that a shard may have, by name: each a plain function of rows in their layout."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from sftcli.batch import IGNORE, KEEP, SOURCE, true_counts
from sftcli.errors import InternalError
from sftcli.layout.laid import Ints, Laid

if TYPE_CHECKING:
    import pyarrow as pa

# What there is one value of. Only a row's own value stands by itself; others are lists for each row.
Per = Literal["token", "answer", "document", "row"]


@dataclass(frozen=True)
class Column:
    """A column's values: their Arrow type, what each is of, and how they are made (or a list of them)."""

    type: str
    per: Per
    values: Callable[[Laid], npt.NDArray[Any]]


def _attention_mask(laid: Laid) -> npt.NDArray[np.int8]:
    return np.ones(len(laid.read.ids), np.int8) if laid.real is None else laid.real.astype(np.int8)


def _labels(laid: Laid) -> npt.NDArray[np.int32]:
    """The answer where one is learnt, else IGNORE: nowhere else are labels made that are written."""
    return np.where(laid.learnt, laid.answers, np.int32(IGNORE))


def _loss_weights(laid: Laid) -> npt.NDArray[np.float32]:
    return laid.learnt.astype(np.float32) if laid.weights is None else laid.weights


def _turn_ids(laid: Laid) -> npt.NDArray[np.int32]:
    if laid.read.turns is None:
        raise InternalError("turn_ids are to be written, and the rows do not have them")
    return laid.read.turns


def _position_ids(laid: Laid) -> npt.NDArray[np.int32]:
    """Each token's place in its document, from 0; a row's padding counts as a document of its own."""
    rows, real = laid.read, laid.real
    places = np.arange(len(rows.ids))
    starts = np.zeros(len(places) + 1, np.bool_)
    starts[rows.offsets] = True
    firsts = np.cumsum(rows.documents) - rows.documents
    if real is None:
        starts[firsts] = True
    else:
        starts[np.flatnonzero(real)[firsts]] = True
        starts[1:-1] |= real[1:] != real[:-1]
    found: npt.NDArray[np.int32] = (places - np.maximum.accumulate(places * starts[:-1])).astype(np.int32)
    return found


def _starts_of_documents(laid: Laid) -> npt.NDArray[np.int32]:
    rows = laid.read
    firsts = np.cumsum(rows.documents) - rows.documents
    in_row = firsts - np.repeat(firsts[rows.document_offsets[:-1]], np.diff(rows.document_offsets))
    return in_row.astype(np.int32)


def _length(laid: Laid) -> npt.NDArray[np.int32]:
    """The tokens that are read, without padding."""
    if laid.real is None:
        return laid.read.lengths.astype(np.int32)
    return true_counts(laid.real, laid.read.offsets).astype(np.int32)


COLUMNS: Mapping[str, Column] = {
    "input_ids": Column("int32", "token", lambda laid: laid.read.ids),
    "attention_mask": Column("int8", "token", _attention_mask),
    "labels": Column("int32", "answer", _labels),
    "loss_mask": Column("int8", "answer", lambda laid: laid.learnt.astype(np.int8)),
    "loss_weights": Column("float", "answer", _loss_weights),
    "position_ids": Column("int32", "token", _position_ids),
    "seq_lengths": Column("int32", "document", lambda laid: laid.read.documents.astype(np.int32)),
    "seq_start_id": Column("int32", "document", _starts_of_documents),
    "turn_ids": Column("int32", "token", _turn_ids),
    "length": Column("int32", "row", _length),
    "source": Column("string", "document", lambda laid: laid.read.carried[SOURCE]),
}


def kept(name: str, type_: str) -> Column:
    """The column of a record's own field, whose values have this Arrow type."""
    return Column(type_, "document", lambda laid: laid.read.carried[KEEP + name])


def offsets_of(per: Per, laid: Laid) -> Ints:
    """int64[R + 1]: where the list of each row begins and ends in a column's values."""
    if per == "answer":
        return laid.answer_offsets
    return laid.read.offsets if per == "token" else laid.read.document_offsets


def array(values: npt.NDArray[Any], type_: "pa.DataType") -> "pa.Array":
    """The values as an Arrow array of this type; numbers of that type are shared, not copied."""
    import pyarrow as pa

    if values.dtype == object:
        return pa.array(values.tolist(), type_)
    values = np.ascontiguousarray(values, type_.to_pandas_dtype())
    # pa.array would do the same, and import pandas first wherever that is installed.
    return pa.Array.from_buffers(type_, len(values), [None, pa.py_buffer(values)])
