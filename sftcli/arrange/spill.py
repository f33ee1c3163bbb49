"""Rows on disk between two passes: written in the order of the input, read in any order.

Five bytes a token (four more with weights, four with turns) and 56 bytes a row, uncompressed, in the
staging folder until the run ends; where near duplicates are looked for, also 16 bytes a word and some
200 a row. They are read through memory maps, whose pages are given back after some hundred rows.
"""

import mmap
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt

from sftcli.arrange.facts import FACTS, FACTS_OF, NEAR_OF
from sftcli.arrange.near import Runs
from sftcli.batch import Objects, Rows, objects
from sftcli.errors import EnvironmentFault, InternalError

Ints = npt.NDArray[np.int64]

_PER_TOKEN = {"ids": np.int32, "trained": np.bool_, "weights": np.float32, "turns": np.int32}
_ROWS_AT_A_TIME = 512  # that pages are held of; the system maps 64 KiB around each place that is read
_FACTS, _CARRIED, _SIZES = "facts", "carried", "sizes"
_BAND, _RUNS, _RUN_SIZES = "band-{}", "runs", "run-sizes"
_HASH = np.dtype(np.uint64)


@contextmanager
def open_spill(folder: Path) -> Iterator[Callable[[Rows], None]]:
    """Write the rows of one split, which carry FACTS, into a new folder.

    Raises EnvironmentFault where the disk fails.
    """
    try:
        folder.mkdir()
        with ExitStack() as stack:
            files: dict[str, BinaryIO] = {}

            def write(rows: Rows) -> None:
                for name, values in _stored(rows).items():
                    if name not in files:
                        files[name] = stack.enter_context((folder / name).open("wb"))
                    files[name].write(values)

            yield write
    except OSError as problem:
        raise EnvironmentFault(f"{folder}: cannot be written: {problem.strerror or problem}") from None


def _stored(rows: Rows) -> dict[str, Any]:
    """The bytes of a batch by the name of the file that they go to."""
    facts: npt.NDArray[Any] = rows.carried[FACTS_OF]
    facts["length"], facts["trained"] = rows.lengths, rows.trained_counts
    found: dict[str, Any] = {_FACTS: facts.tobytes()}
    for name in _PER_TOKEN:
        values = getattr(rows, name)
        if values is not None:
            found[name] = values.tobytes()
    if len(rows) and NEAR_OF in rows.carried:
        found |= _stored_sketches(rows.carried[NEAR_OF])
    columns = {
        name: values.tolist() for name, values in rows.carried.items() if name not in (FACTS_OF, NEAR_OF)
    }
    if columns:
        packed = [
            msgspec.msgpack.encode(dict(zip(columns, values, strict=True)))
            for values in zip(*columns.values(), strict=True)
        ]
        found[_CARRIED] = b"".join(packed)
        found[_SIZES] = np.fromiter(map(len, packed), np.int32, len(packed)).tobytes()
    return found


def _stored_sketches(sketches: Objects) -> dict[str, Any]:
    """The bytes of a Sketch of each row: a file for each band, so that each is read in one stretch."""
    keys = np.frombuffer(b"".join(sketch.keys for sketch in sketches), _HASH).reshape(len(sketches), -1)
    sizes = [(len(one.whole) // _HASH.itemsize, len(one.answers) // _HASH.itemsize) for one in sketches]
    return {
        **{_BAND.format(number): own.tobytes() for number, own in enumerate(keys.T)},
        _RUNS: b"".join(part for sketch in sketches for part in (sketch.whole, sketch.answers)),
        _RUN_SIZES: np.array(sizes, np.int32).tobytes(),
    }


class Spill:
    """The N rows of all splits, numbered as they were written.

    facts: FACTS[N]. split: int32[N], the index of each row's folder.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self.facts, rows = _joined([folder / _FACTS for folder in folders], FACTS)
        self.split = np.repeat(np.arange(len(folders), dtype=np.int32), rows)
        # Where each row begins in its split: among the tokens, and among the bytes of what it carries.
        self._starts = _all_starts(self.facts["length"], rows)
        self._sizes, rows = _joined([folder / _SIZES for folder in folders], np.dtype(np.int32))
        self._carried_starts = _all_starts(self._sizes, rows)
        self._maps: dict[Path, mmap.mmap] = {}
        self._runs_read = 0

    def __len__(self) -> int:
        return len(self.facts)

    def rows(self, numbers: Ints) -> Rows:
        """The rows of these numbers, in this order; a number may be there more than once."""
        lengths = self.facts["length"][numbers].astype(np.int64)
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        columns: dict[str, npt.NDArray[Any]] = {}
        split = self.split[numbers]
        for part in np.unique(split).tolist():
            mine = np.flatnonzero(split == part)
            mine = mine[np.argsort(numbers[mine], kind="stable")]  # the disk is read in one direction
            for name, kind in _PER_TOKEN.items():
                whole = self._map(self._folders[part] / name)
                if whole is None:
                    continue
                column = columns.get(name)
                if column is None:
                    column = columns[name] = np.empty(int(offsets[-1]), kind)
                for some in np.split(mine, range(_ROWS_AT_A_TIME, len(mine), _ROWS_AT_A_TIME)):
                    source = ranges(self._starts[numbers[some]], lengths[some])
                    column[ranges(offsets[some], lengths[some])] = np.frombuffer(whole, kind)[source]
                    _give_back(whole)
        carried = self._carried(numbers, split)
        return Rows(
            offsets=offsets,
            documents=lengths,
            document_offsets=np.arange(len(numbers) + 1),
            carried=carried,
            **columns,
        )

    def _carried(self, numbers: Ints, split: npt.NDArray[np.int32]) -> dict[str, Objects]:
        """What the rows carry, by name."""
        if not len(self._sizes):
            return {}
        rows: list[dict[str, Any]] = []
        starts = self._carried_starts[numbers]
        stops = starts + self._sizes[numbers]
        for part, start, stop in zip(split.tolist(), starts.tolist(), stops.tolist(), strict=True):
            whole = self._map(self._folders[part] / _CARRIED)
            if whole is not None:
                rows.append(msgspec.msgpack.decode(whole[start:stop]))
                if len(rows) % _ROWS_AT_A_TIME == 0:
                    _give_back(whole)
        return {name: objects([row[name] for row in rows]) for name in rows[0]} if rows else {}

    def band(self, number: int) -> npt.NDArray[np.uint64]:
        """uint64[N]: the key that each row has in this band."""
        return _joined([folder / _BAND.format(number) for folder in self._folders], _HASH)[0]

    @cached_property
    def _run_places(self) -> tuple[npt.NDArray[np.int32], Ints]:
        """int32[N, 2]: how many runs each row and its answers have. int64[N]: where they begin."""
        kind = np.dtype((np.int32, 2))
        sizes, rows = _joined([folder / _RUN_SIZES for folder in self._folders], kind)
        return sizes, _all_starts(sizes.sum(axis=1), rows)

    def runs(self, row: int) -> Runs:
        """The runs of words in what a row says."""
        sizes, starts = self._run_places
        whole = self._map(self._folders[self.split[row]] / _RUNS)
        if whole is None:
            raise InternalError(f"row {row} has no runs of words")
        self._runs_read += 1
        if self._runs_read % _ROWS_AT_A_TIME == 0:
            _give_back(whole)
        first, stop = sizes[row].tolist()
        found = np.frombuffer(whole, _HASH, first + stop, int(starts[row]) * _HASH.itemsize)
        return Runs(found[:first], found[first:])

    def _map(self, path: Path) -> mmap.mmap | None:
        """A file's bytes, or None where there is none."""
        if path not in self._maps:
            if not path.exists():
                return None
            with path.open("rb") as file:
                self._maps[path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._maps[path]


def _give_back(whole: mmap.mmap) -> None:
    """Let go of the pages that were read: they would count as this process's memory."""
    if hasattr(mmap, "MADV_DONTNEED"):
        whole.madvise(mmap.MADV_DONTNEED)


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """The numbers from each start on, as many as its length says, one stretch after another."""
    stops = np.cumsum(lengths)
    return np.arange(int(stops[-1]) if len(stops) else 0) + np.repeat(starts - stops + lengths, lengths)


def _all_starts(sizes: npt.NDArray[np.int32], counts: Sequence[int]) -> Ints:
    """Where each stretch begins, each split's first one at 0; `counts` are how many each split has."""
    starts = np.cumsum(sizes, dtype=np.int64)
    starts -= sizes
    first = 0
    for count in counts:
        starts[first : first + count] -= starts[first] if count else 0
        first += count
    return starts


def _joined(paths: Sequence[Path], kind: np.dtype[Any]) -> tuple[npt.NDArray[Any], list[int]]:
    """The rows of all files, and how many each one has; none where there is no file."""
    counts = [path.stat().st_size // kind.itemsize if path.exists() else 0 for path in paths]
    table = np.empty(sum(counts), kind)
    first = 0
    for path, count in zip(paths, counts, strict=True):
        if count:
            table[first : first + count] = np.memmap(path, kind, "r", shape=(count,))
        first += count
    return table, counts
