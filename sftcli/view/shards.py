"""Shards -> columns of some rows: a row group or a record batch is read at a time, and no other."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sftcli.batch import IGNORE
from sftcli.errors import EnvironmentFault, UsageError
from sftcli.view.marks import Ints, sums

if TYPE_CHECKING:
    import pyarrow as pa


_PER_ROW = ("seq_lengths",)  # lists that have not a value for each token


@dataclass(frozen=True, slots=True)
class Lists:
    """A column of R lists: row r is values[offsets[r]:offsets[r + 1]]; offsets: int64[R + 1]."""

    values: npt.NDArray[np.integer]
    offsets: Ints

    def row(self, index: int) -> list[int]:
        found: list[int] = self.values[self.offsets[index] : self.offsets[index + 1]].tolist()
        return found


class Shard:
    """One shard, opened. `bounds` are the first rows of its units, and the row after the last one.

    A unit is what is read in one go: a row group of Parquet, a record batch of an Arrow stream.
    Raises EnvironmentFault where the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self.path = path
        try:
            self._file = _Parquet(path) if path.suffix == ".parquet" else _Arrow(path)
        except (OSError, UnicodeDecodeError, pa.ArrowException) as problem:
            raise self._fault(problem) from None
        self.columns: list[str] = self._file.columns
        self._seen: tuple[int, str, Ints] | None = None  # a unit, one of its columns, and where rows begin
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

        Raises UsageError for a column that is not there, EnvironmentFault for one that holds something
        else, or that does not fit those read of this unit before.
        """
        found: dict[str, Lists] = {}
        for name, column in self.arrays(unit, columns).items():
            try:
                found[name] = lists_of(column)
            except ValueError as problem:
                raise self._damaged(unit, f"its column {name} {problem}") from None
            if name not in _PER_ROW:
                self._require_equal(unit, name, found[name].offsets)
        return found

    def _require_equal(self, unit: int, name: str, offsets: Ints) -> None:
        if self._seen is None or self._seen[0] != unit:
            self._seen = unit, name, offsets
            return
        _, other, wanted = self._seen
        if not np.array_equal(offsets, wanted):
            raise self._damaged(unit, f"its columns {other} and {name} are not equally long")

    def arrays(self, unit: int, columns: Sequence[str]) -> "dict[str, pa.Array]":
        """Columns of a unit as they are, sound in themselves: no offset leads outside the values."""
        import pyarrow as pa

        missing = [name for name in columns if name not in self.columns]
        if missing:
            there = ", ".join(self.columns)
            raise UsageError(f"{self.path}: has no column {missing[0]!r}, which this needs (it has {there})")
        twice = [name for name in columns if self.columns.count(name) > 1]
        if twice:
            raise self._damaged(unit, f"it has the column {twice[0]} twice")
        try:
            found = {name: _whole(column) for name, column in self._file.read(unit, columns).items()}
            for array in found.values():
                array.validate(full=True)
        except (OSError, UnicodeDecodeError, pa.ArrowException) as problem:
            raise self._fault(problem) from None
        rows = int(self.bounds[unit + 1] - self.bounds[unit])
        for name, array in found.items():
            if len(array) != rows:
                raise self._damaged(unit, f"its column {name} has {len(array):,} rows, and not {rows:,}")
        return found

    def _damaged(self, unit: int, what: str) -> EnvironmentFault:
        kind = "row group" if self.path.suffix == ".parquet" else "record batch"
        return EnvironmentFault(f"{self.path}: {kind} {unit}: {what}; prepare the folder again")

    def _fault(self, problem: Exception) -> EnvironmentFault:
        return EnvironmentFault(f"{self.path}: cannot be read: {problem}")


class OpenShards(threading.local):
    """The shard that a thread reads: a file is opened once by each, and read from by one alone."""

    shard: Shard | None = None

    def at(self, path: Path) -> Shard:
        if self.shard is None or self.shard.path != path:
            self.shard = Shard(path)
        return self.shard


class Tokens:
    """The columns of one unit of a shard, each read when it is asked for."""

    def __init__(self, shard: Shard, unit: int) -> None:
        self._shard, self._unit = shard, unit

    @cached_property
    def ids(self) -> Lists:
        return self._read("input_ids")

    @cached_property
    def labels(self) -> Lists:
        return self._read("labels")

    @cached_property
    def trained_counts(self) -> Ints:
        return sums(self.labels.values != IGNORE, self.labels.offsets)

    @cached_property
    def lengths(self) -> Ints:
        """int64[R]: each row's tokens but for padding."""
        if "attention_mask" not in self._shard.columns:
            return np.diff(self.ids.offsets)
        mask = self._read("attention_mask")
        return sums(mask.values != 0, mask.offsets)

    @cached_property
    def text_ids(self) -> tuple[npt.NDArray[np.integer], Ints]:
        """The ids without padding, and where each row of them begins and ends."""
        ids = self.ids
        if int(self.lengths.sum()) == len(ids.values):
            return ids.values, ids.offsets
        mask = self._read("attention_mask")
        return ids.values[mask.values != 0], np.concatenate(([0], np.cumsum(self.lengths)))

    def _read(self, name: str) -> Lists:
        return self._shard.read(self._unit, [name])[name]


class _Parquet:
    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(path)
        groups = range(self._file.num_row_groups)
        self.rows: list[int] = [self._file.metadata.row_group(group).num_rows for group in groups]
        self.columns: list[str] = self._file.schema_arrow.names

    def read(self, unit: int, columns: Sequence[str]) -> dict[str, Any]:
        table = self._file.read_row_group(unit, columns=list(columns), use_threads=False)
        return {name: table[name] for name in columns}


class _Arrow:
    """An Arrow stream has no index, so its messages are walked through: their heads are read, and
    of a body (which may be compressed) no more than one small column, which tells the rows."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._source = pa.memory_map(str(path))
        reader = pa.ipc.MessageReader.open_stream(self._source)
        try:
            self._schema = pa.ipc.read_schema(reader.read_next_message())
        except StopIteration:
            raise pa.ArrowInvalid("an Arrow stream without a schema") from None
        self._messages = list(reader)
        self.columns: list[str] = self._schema.names
        self._source.seek(0)
        # The attention mask is nothing but ones where rows are not padded: quick to unpack.
        lightest = self.columns.index("attention_mask") if "attention_mask" in self.columns else 0
        options = pa.ipc.IpcReadOptions(included_fields=[lightest])
        with pa.ipc.open_stream(self._source, options=options) as stream:
            self.rows: list[int] = [batch.num_rows for batch in stream]

    def read(self, unit: int, columns: Sequence[str]) -> dict[str, Any]:
        import pyarrow as pa

        batch = pa.ipc.read_record_batch(self._messages[unit], self._schema)
        return {name: batch.column(name) for name in columns}


def _whole(column: Any) -> "pa.Array":
    """A column in one piece."""
    import pyarrow as pa

    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def lists_of(column: "pa.Array") -> Lists:
    """A column of lists of whole numbers, sound in itself. Raises ValueError for one of something else."""
    import pyarrow as pa

    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not (is_list and pa.types.is_integer(kind.value_type)):
        raise ValueError(f"is {kind}, and should be a list of whole numbers for each row")
    if column.null_count:
        raise ValueError("is null in a row")
    values = column.flatten()
    if values.null_count:
        raise ValueError("holds a null")
    offsets = _numbers(column.offsets).astype(np.int64)
    return Lists(_numbers(values), offsets - offsets[0])


def _numbers(array: "pa.Array") -> npt.NDArray[Any]:
    """The values of an array of numbers, not copied."""
    buffer = array.buffers()[1]
    if buffer is None:  # of an array without values
        return np.zeros(0, np.int32)
    # array.to_numpy would do the same, and import pandas first wherever that is installed.
    values: npt.NDArray[Any] = np.frombuffer(buffer, array.type.to_pandas_dtype())
    return values[array.offset : array.offset + len(array)]
