"""Rows of a prepared folder, found without reading the rows before them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from sftcli.errors import EnvironmentFault, UsageError
from sftcli.manifest import read_manifest
from sftcli.tokenizer import Tokenizer, load_tokenizer
from sftcli.view.row import RowView, row_from_columns

_COLUMNS = ["input_ids", "labels"]


class Dataset:
    """A finished dataset folder. Raises EnvironmentFault where it has no manifest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards: list[dict[str, Any]] = read_manifest(folder)["shards"]
        self.rows = sum(shard["rows"] for shard in self._shards)
        self.tokenizer: Tokenizer = load_tokenizer(str(folder / "tokenizer"))

    def row(self, number: int) -> RowView:
        """Row `number`, from 0 (negative: from the end)."""
        index = place_of(number, self.rows, str(self.folder))
        first = 0
        for shard in self._shards:
            if index < first + shard["rows"]:
                ids, labels = _columns(self.folder / shard["file"], index - first)
                return row_from_columns(self.tokenizer, ids, labels, index)
            first += shard["rows"]
        raise EnvironmentFault(f"{self.folder}: the manifest's shards hold fewer rows than it says")


def place_of(number: int, rows: int, where: str) -> int:
    """A row number, counted from the end where it is negative, checked against the rows there are."""
    if not -rows <= number < rows:
        raise UsageError(f"--row {number}: {where} has {rows:,} row{'s' * (rows != 1)}, counted from 0")
    return number % rows


def _columns(path: Path, row: int) -> Sequence[list[int]]:
    try:
        read = _from_parquet if path.suffix == ".parquet" else _from_arrow
        return read(path, row)
    except (OSError, pa.ArrowException) as problem:
        raise EnvironmentFault(f"{path}: cannot be read: {problem}") from None


def _from_parquet(path: Path, row: int) -> list[list[int]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if row < rows:
                table = file.read_row_group(group, columns=_COLUMNS)
                return [table[column][row].as_py() for column in _COLUMNS]
            row -= rows
    raise EnvironmentFault(f"{path}: has fewer rows than the manifest says")


def _from_arrow(path: Path, row: int) -> list[list[int]]:
    with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
        for batch in stream:
            if row < batch.num_rows:
                return [batch.column(column)[row].as_py() for column in _COLUMNS]
            row -= batch.num_rows
    raise EnvironmentFault(f"{path}: has fewer rows than the manifest says")
