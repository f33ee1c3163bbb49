"""Shards -> columns of some rows: a row group or a record batch is read at a time, and no other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sftcli.errors import EnvironmentFault, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

Ints = npt.NDArray[np.int64]


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
        except (OSError, pa.ArrowException) as problem:
            raise self._fault(problem) from None
        self.columns: list[str] = self._file.columns
        self.bounds: Ints = np.concatenate(([0], np.cumsum(self._file.rows, dtype=np.int64)))

    def unit_of(self, row: int) -> int:
        """The unit that holds a row of the shard."""
        if not 0 <= row < self.bounds[-1]:
            raise EnvironmentFault(f"{self.path}: has fewer rows than the manifest says")
        return int(np.searchsorted(self.bounds, row, "right")) - 1

    def read(self, unit: int, columns: Sequence[str]) -> dict[str, Lists]:
        """Columns of lists of a unit, by name. Raises UsageError for a column that is not there."""
        return {name: _lists(column) for name, column in self.arrays(unit, columns).items()}

    def arrays(self, unit: int, columns: Sequence[str]) -> "dict[str, pa.Array]":
        """Columns of a unit as they are."""
        import pyarrow as pa

        missing = [name for name in columns if name not in self.columns]
        if missing:
            there = ", ".join(self.columns)
            raise UsageError(f"{self.path}: has no column {missing[0]!r}, which this needs (it has {there})")
        try:
            return {name: _whole(column) for name, column in self._file.read(unit, columns).items()}
        except (OSError, pa.ArrowException) as problem:
            raise self._fault(problem) from None

    def _fault(self, problem: Exception) -> EnvironmentFault:
        return EnvironmentFault(f"{self.path}: cannot be read: {problem}")


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
        self._schema = pa.ipc.read_schema(reader.read_next_message())
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


def _lists(column: "pa.Array") -> Lists:
    import pyarrow as pa

    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise UsageError(f"a column of {column.type} stands where a list of numbers for each row should")
    offsets = column.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
    return Lists(column.flatten().to_numpy(zero_copy_only=False), offsets - offsets[0])
