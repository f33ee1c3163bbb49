"""Inputs -> splits: which bytes of which file become which shard."""

import difflib
import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Literal

from sftcli.errors import ConfigError, EnvironmentFault, UsageError

STDIN = "-"
SPLIT_SIZE = 128 << 20
_UNPACKED = 4  # bytes of text for each compressed one, more often too few than too many
_UNITS = {"": 1, "B": 1, **{f"{unit}B": 1000**n for n, unit in enumerate("kMGT", 1)}}
_UNITS |= {f"{unit}iB": 1 << 10 * n for n, unit in enumerate("KMGT", 1)}
_COMPRESSIONS = {".gz": "gz", ".bz2": "bz2", ".xz": "xz", ".zst": "zst"}

Kind = Literal["jsonl", "json", "parquet"]


@dataclass(frozen=True, slots=True)
class Split:
    """The part of one input that becomes one shard.

    `file` is the name as the user wrote it ("-" is standard input), `index` counts the splits of
    the whole run from 0. The split is the bytes [start, end) of the file, and both are the first
    byte of a line; `end` is None where an input is read to its end, whatever that will be.
    """

    file: str
    index: int
    start: int
    end: int | None
    compression: str | None = None
    kind: Kind = "jsonl"


def bytes_of(written: int | str) -> int:
    """A size such as 64MiB, 100 MB or a bare number of bytes. Raises ConfigError for what is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)", str(written).strip(), re.ASCII)
    units = {unit.lower(): size for unit, size in _UNITS.items()}
    unit = match[2].lower() if match else None
    if match is None or unit is None or (unit not in units and f"{unit}b" not in units):
        raise ConfigError(f"split_size: expected a size such as 128MiB or 100MB, found {str(written)!r}")
    size = int(Decimal(match[1]) * units.get(unit, units.get(f"{unit}b", 1)))
    if size < 1:
        raise ConfigError(f"split_size: expected 1 byte or more, found {written}")
    return size


def size_of(files: Iterable[str]) -> int:
    """About how many bytes of text are in all files together; of pipes nobody knows."""
    return sum(os.stat(file).st_size * _swells(file) for file in files if file != STDIN)


def _swells(file: str) -> int:
    return _UNPACKED if os.path.splitext(file.lower())[1] in _COMPRESSIONS else 1


def plan_splits(inputs: Sequence[str], split_size: int = SPLIT_SIZE) -> list[Split]:
    """The splits of `inputs` (paths, glob patterns, or "-"), in the order given.

    Plain JSONL is cut into as few splits of about one size as hold `split_size` bytes or less, each at the
    first line that starts there; every other input is one split. Raises UsageError for an input that is
    missing, a folder, a URL or named twice, and EnvironmentFault for one that cannot be looked at.
    """
    if split_size < 1:
        raise UsageError(f"split size: expected 1 byte or more, found {split_size}")
    if not inputs:
        raise UsageError("no input: name a file, a pattern such as 'data/*.jsonl', or - for standard input")
    splits: list[Split] = []
    seen: dict[object, str] = {}
    for file in (file for written in inputs for file in _expand(written)):
        status = None if file == STDIN else _status(file)
        # The same file under two names (a link, ./a and a) is the same data.
        identity = STDIN if status is None else (status.st_dev, status.st_ino)
        if identity in seen:
            other = seen[identity]
            named = "twice" if other == file else f"twice, the first time as {other}"
            raise UsageError(f"{file}: given {named}; every record would be there twice: name it once")
        seen[identity] = file
        splits.extend(_split_file(file, status, len(splits), split_size))
    return splits


def _expand(written: str) -> list[str]:
    """The files that one argument stands for; a name that exists is itself, brackets and all."""
    scheme, is_url, _ = written.partition("://")
    if is_url:
        # The rest of a URL may hold credentials, so it is not repeated.
        raise UsageError(f"{scheme}://...: only local files are read; download it and name the file")
    if written == STDIN or not glob.has_magic(written) or os.path.lexists(written):
        return [written]
    files = sorted(name for name in glob.glob(written, recursive=True) if not os.path.isdir(name))
    if not files:
        raise UsageError(f"{written}: no file matches this pattern (looked in {os.getcwd()})")
    return files


def _status(file: str) -> os.stat_result:
    try:
        status = os.stat(file)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(file):
            raise UsageError(f"{file}: a link to {os.readlink(file)}, which does not exist") from None
        raise UsageError(f"{file}: no such file; {_what_is_there(Path(file))}") from None
    except (OSError, ValueError) as problem:
        raise EnvironmentFault(f"{file}: cannot be looked at: {_reason(problem)}") from None
    if stat.S_ISDIR(status.st_mode):
        folder = file.rstrip("/") or "/"
        raise UsageError(f"{file}: is a folder; name the files in it, such as '{folder}/*.jsonl'")
    return status


def _what_is_there(path: Path) -> str:
    folder = path.absolute().parent
    if not folder.is_dir():
        return f"looked for {path.absolute()}, and the folder {folder} does not exist either"
    try:
        near = difflib.get_close_matches(path.name, sorted(os.listdir(folder)), n=1)
    except OSError:
        near = []
    return f"looked for {path.absolute()}" + (
        f"; did you mean {str(path.with_name(near[0]))!r}?" if near else ""
    )


def _reason(problem: OSError | ValueError) -> str:
    return getattr(problem, "strerror", None) or str(problem)


def _split_file(file: str, status: os.stat_result | None, index: int, split_size: int) -> Iterator[Split]:
    name, suffix = os.path.splitext(file.lower())
    compression = _COMPRESSIONS.get(suffix)
    kind = _kind(name if compression else file.lower())
    if compression and kind == "parquet":
        raise UsageError(f"{file}: Parquet compresses inside the file; unpack it first")
    # A pipe has no size, and can be read only once.
    if compression or kind != "jsonl" or status is None or not stat.S_ISREG(status.st_mode):
        yield Split(file, index, 0, None, compression, kind)
        return
    start = 0
    for end in _cuts(file, status.st_size, split_size):
        yield Split(file, index, start, end)
        start, index = end, index + 1
    yield Split(file, index, start, status.st_size)


def _kind(name: str) -> Kind:
    if name.endswith(".parquet"):
        return "parquet"
    return "json" if name.endswith(".json") else "jsonl"


def _cuts(file: str, size: int, split_size: int) -> Iterator[int]:
    """Where splits after the first begin: always the first byte of a line.

    All are about as long, so that processes that take one after another end at about the same time.
    """
    count = -(-size // split_size)
    last = 0
    try:
        with open(file, "rb") as source:
            for number in range(1, count):
                if size * number // count <= last:
                    continue  # in a line that is longer than a split, and was read to its end already
                source.seek(size * number // count - 1)
                cut = _next_line(source)
                if last < cut < size:
                    yield cut
                last = cut
    except OSError as problem:
        raise EnvironmentFault(f"{file}: cannot be read: {_reason(problem)}") from None


def _next_line(source: BinaryIO) -> int:
    while (piece := source.readline(1 << 20)) and not piece.endswith(b"\n"):
        pass
    return source.tell()
