"""Inputs -> splits: which bytes of which file become which shard."""

import difflib
import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from sftcli.errors import EnvironmentFault, UsageError

STDIN = "-"
SPLIT_SIZE = 128 << 20
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


def plan_splits(inputs: Sequence[str], split_size: int = SPLIT_SIZE) -> list[Split]:
    """The splits of `inputs` (paths, glob patterns, or "-"), in the order given.

    Plain JSONL is cut at the first line that starts at or after each multiple of `split_size`
    bytes; every other input is one split. Raises UsageError for an input that is missing, a
    folder, a URL or named twice, and EnvironmentFault for one that cannot be looked at.
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
    """Where splits after the first begin: always the first byte of a line."""
    if size <= split_size:
        return
    try:
        with open(file, "rb") as source:
            cut = split_size
            while cut < size:
                source.seek(cut - 1)
                cut = _next_line(source)
                if cut < size:
                    yield cut
                cut = (cut // split_size + 1) * split_size
    except OSError as problem:
        raise EnvironmentFault(f"{file}: cannot be read: {_reason(problem)}") from None


def _next_line(source: BinaryIO) -> int:
    while (piece := source.readline(1 << 20)) and not piece.endswith(b"\n"):
        pass
    return source.tell()
