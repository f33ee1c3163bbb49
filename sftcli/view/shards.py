"""Shards -> columns of some rows: a row group or a record batch is read at a time, and no other."""

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sftcli.errors import EnvironmentFault
from sftcli.layout import Layout
from sftcli.view.aligned import APART, Aligned, Lists, aligned, needed
from sftcli.view.marks import Ints, sums
from sftcli.view.npy import Npy

if TYPE_CHECKING:
    import pyarrow as pa


_FLOATS = ("loss_weights",)


class Shard:
    """One shard, opened. `bounds` are the first rows of its units, and the row after the last one.

    A unit is what is read in one go: a row group of Parquet, a record batch of an Arrow stream, some
    rows of bare arrays, whose types only the `layout` tells. `types` are those of the columns.
    Raises EnvironmentFault where the file cannot be read.
    """

    def __init__(self, path: Path, layout: Layout | None = None) -> None:
        import pyarrow as pa

        self.path = path
        self.layout = layout or Layout()
        self._file: _Parquet | _Arrow | Npy
        try:
            if path.suffix == ".npy":
                self._file = Npy(path, self.layout)
            else:
                self._file = _Parquet(path) if path.suffix == ".parquet" else _Arrow(path)
        except (OSError, ValueError, pa.ArrowException) as problem:
            raise self._fault(problem) from None
        self.columns: list[str] = self._file.schema.names
        self.types: dict[str, pa.DataType] = {field.name: field.type for field in self._file.schema}
        # A unit, and of each kind of its lists one column and where rows begin.
        self._seen: tuple[int, dict[str, tuple[str, Ints]]] = -1, {}
        self.bounds: Ints = np.concatenate(([0], np.cumsum(self._file.rows, dtype=np.int64)))

    def require_rows(self, rows: int) -> None:
        """Raise EnvironmentFault where the shard has not as many rows as its manifest says."""
        if self.bounds[-1] != rows:
            raise EnvironmentFault(
                f"{self.path}: has {self.bounds[-1]:,} rows, and the manifest says {rows:,}; "
                "prepare the folder again"
            )

    def unit_of(self, row: int) -> int:
        """The unit that holds a row of the shard."""
        return int(np.searchsorted(self.bounds, row, "right")) - 1

    def read(self, unit: int, columns: Sequence[str]) -> dict[str, Lists]:
        """Columns of lists of a unit, by name; those that hold a value for each token are equally long.

        Raises EnvironmentFault for a column that is not there or holds something else, or that does not
        fit those read of this unit before.
        """
        found: dict[str, Lists] = {}
        for name, column in self.arrays(unit, columns).items():
            try:
                found[name] = lists_of(column, floats=name in _FLOATS)
            except ValueError as problem:
                raise self._damaged(unit, f"its column {name} {problem}") from None
            self._require_equal(unit, name, found[name].offsets)
        return found

    def _require_equal(self, unit: int, name: str, offsets: Ints) -> None:
        if name not in self.layout.columns:
            return
        per: str = self.layout.columns[name].per
        if per == "answer" and self.layout.kind not in APART:
            per = "token"
        if self._seen[0] != unit:
            self._seen = unit, {}
        other, wanted = self._seen[1].setdefault(per, (name, offsets))
        if not np.array_equal(offsets, wanted):
            raise self._damaged(unit, f"its columns {other} and {name} are not equally long")

    def arrays(self, unit: int, columns: Sequence[str]) -> "dict[str, pa.Array]":
        """Columns of a unit as they are, sound in themselves: no offset leads outside the values."""
        import pyarrow as pa

        missing = [name for name in columns if name not in self.columns]
        if missing:
            there = ", ".join(self.columns)
            raise EnvironmentFault(
                f"{self.path}: has no column {missing[0]!r}, which its manifest tells of (it has {there}); "
                "prepare the folder again"
            )
        twice = [name for name in columns if self.columns.count(name) > 1]
        if twice:
            raise self._damaged(unit, f"it has the column {twice[0]} twice")
        try:
            found = {name: _whole(column) for name, column in self._file.read(unit, columns).items()}
            for array in found.values():
                array.validate(full=True)
        except (OSError, ValueError, pa.ArrowException) as problem:
            raise self._fault(problem) from None
        rows = int(self.bounds[unit + 1] - self.bounds[unit])
        for name, array in found.items():
            if len(array) != rows:
                raise self._damaged(unit, f"its column {name} has {len(array):,} rows, and not {rows:,}")
        return found

    def _damaged(self, unit: int, what: str) -> EnvironmentFault:
        kind = {".parquet": "row group", ".npy": "part"}.get(self.path.suffix, "record batch")
        return EnvironmentFault(f"{self.path}: {kind} {unit}: {what}; prepare the folder again")

    def _fault(self, problem: Exception) -> EnvironmentFault:
        return EnvironmentFault(f"{self.path}: cannot be read: {problem}")


class OpenShards(threading.local):
    """The shard that a thread reads: a file is opened once by each, and read from by one alone."""

    shard: Shard | None = None

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def at(self, path: Path) -> Shard:
        if self.shard is None or self.shard.path != path:
            self.shard = Shard(path, self.layout)
        return self.shard


class Tokens:
    """One unit of a shard, whose columns are read when they are asked for."""

    def __init__(self, shard: Shard, unit: int) -> None:
        self._shard, self._unit = shard, unit

    @cached_property
    def all(self) -> Aligned:
        """The tokens, and their labels; padding is not told apart."""
        return self._aligned(padding=False)

    @cached_property
    def _real(self) -> Aligned:
        return self._aligned(padding=True)

    @cached_property
    def trained_counts(self) -> Ints:
        return sums(self.all.trained, self.all.offsets)

    @cached_property
    def lengths(self) -> Ints:
        """int64[R]: each row's tokens but for padding."""
        return self._real.lengths

    @cached_property
    def text_ids(self) -> tuple[npt.NDArray[np.integer], Ints]:
        """The ids without padding, and where each row of them begins and ends."""
        rows = self._real
        if rows.real is None:
            return rows.ids, rows.offsets
        return rows.ids[rows.real], np.concatenate(([0], np.cumsum(self.lengths)))

    def _aligned(self, *, padding: bool) -> Aligned:
        layout = self._shard.layout
        return aligned(self._shard.read(self._unit, needed(layout, padding=padding)), layout)


class _Parquet:
    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(path.absolute())
        groups = range(self._file.num_row_groups)
        self.rows: list[int] = [self._file.metadata.row_group(group).num_rows for group in groups]
        self.schema: pa.Schema = self._file.schema_arrow

    def read(self, unit: int, columns: Sequence[str]) -> dict[str, Any]:
        table = self._file.read_row_group(unit, columns=list(columns), use_threads=False)
        return {name: table[name] for name in columns}


class _Arrow:
    """An Arrow stream has no index, so its messages are walked through: their heads are read, and
    of a body (which may be compressed) no more than one small column, which tells the rows."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._source = pa.memory_map(str(path.absolute()))
        reader = pa.ipc.MessageReader.open_stream(self._source)
        try:
            self.schema: pa.Schema = pa.ipc.read_schema(reader.read_next_message())
        except StopIteration:
            raise pa.ArrowInvalid("an Arrow stream without a schema") from None
        self._messages = list(reader)
        self._source.seek(0)
        # The attention mask is nothing but ones where rows are not padded: quick to unpack.
        names = self.schema.names
        lightest = names.index("attention_mask") if "attention_mask" in names else 0
        options = pa.ipc.IpcReadOptions(included_fields=[lightest])
        with pa.ipc.open_stream(self._source, options=options) as stream:
            self.rows: list[int] = [batch.num_rows for batch in stream]

    def read(self, unit: int, columns: Sequence[str]) -> dict[str, Any]:
        import pyarrow as pa

        batch = pa.ipc.read_record_batch(self._messages[unit], self.schema)
        return {name: batch.column(name) for name in columns}


def _whole(column: Any) -> "pa.Array":
    """A column in one piece."""
    import pyarrow as pa

    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def lists_of(column: "pa.Array", *, floats: bool = False) -> Lists:
    """A column of lists of whole numbers (or of `floats`), sound in itself.

    Raises ValueError for one of something else.
    """
    import pyarrow as pa

    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    is_wanted = pa.types.is_float32 if floats else pa.types.is_integer
    if not (is_list and is_wanted(kind.value_type)):
        what = "numbers" if floats else "whole numbers"
        raise ValueError(f"is {kind}, and should be a list of {what} for each row")
    if column.null_count:
        raise ValueError("is null in a row")
    values = column.flatten()
    if values.null_count:
        raise ValueError("holds a null")
    return Lists(numbers(values), offsets_of(column))


def offsets_of(column: "pa.Array") -> Ints:
    """int64[R + 1]: where each list begins in `column.flatten()`, of a column without nulls."""
    offsets = numbers(column.offsets).astype(np.int64)
    found: Ints = offsets - offsets[0]
    return found


def numbers(array: "pa.Array") -> npt.NDArray[Any]:
    """The values of an array of numbers, not copied."""
    buffer = array.buffers()[1]
    if buffer is None:  # of an array without values
        return np.zeros(0, np.int32)
    # array.to_numpy would do the same, and import pandas first wherever that is installed.
    values: npt.NDArray[Any] = np.frombuffer(buffer, array.type.to_pandas_dtype())
    return values[array.offset : array.offset + len(array)]
