"""Inputs that are cut off, or that change while they are read: never a dataset."""

import bz2
import gzip
import lzma
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import zstandard
from running import Figures, here, records, run, start, tree, wait

PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda raw: gzip.compress(raw, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
_COMMON = ("-t", "demo", "--template", "plain", "--quiet")


def cut_at(places: Iterable[int], kind: str, whole: bytes, folder: Path, figures: Figures) -> None:
    """A compressed input without its end: exit 1 with the reason, and no dataset."""
    for place in places:
        file, out = folder / f"in.jsonl.{kind}", folder / "out"
        file.write_bytes(whole[:place])
        ended = here("prepare", str(file), *_COMMON, "-o", str(out))
        assert ended.code == 1, (kind, place, ended)
        assert not out.exists()
        assert str(file) in ended.err
        assert "bug" not in ended.err
        figures.add(_reason(ended.err))


def _reason(told: str) -> str:
    for reason in ("truncated", "is empty", "no records", "named ."):
        if reason in told:
            return f"said `{reason.strip(' .')}`"
    return "said something else"


def append(file: Path) -> None:
    with file.open("ab") as at_end:
        at_end.write(records(1))


def truncate(file: Path) -> None:
    whole = file.read_bytes().splitlines(keepends=True)
    os.truncate(file, sum(map(len, whole[:10])))


def replace(file: Path) -> None:
    other = file.with_suffix(".other")
    shutil.copy2(file, other)  # the same bytes and the same time
    other.replace(file)


def touch(file: Path) -> None:
    os.utime(file)


def remove(file: Path) -> None:
    file.unlink()


CHANGES = {change.__name__: change for change in (append, truncate, replace, touch, remove)}


def change_during(change: str, which: str, folder: Path, figures: Figures) -> None:
    """A run is held where it reads the second of three inputs; one that it has read, or not yet, changes."""
    folder.mkdir(parents=True, exist_ok=True)
    first, pipe, last, out = (folder / name for name in ("a.jsonl", "pipe", "z.jsonl", "out"))
    first.write_bytes(records(40))
    last.write_bytes(records(30, " then"))
    os.mkfifo(pipe)
    process = start(["prepare", str(first), str(pipe), str(last), *_COMMON, "-o", str(out)])
    with pipe.open("wb") as held:  # opens when the run does
        file = first if which == "read" else last
        CHANGES[change](file)
        held.write(records(5, " in between"))
    ended = wait(process)
    assert ended.code == 3, ended
    assert ended.err.startswith(f"error: {file}: "), ended
    assert ended.err.count("error:") == 1
    assert not (out / "manifest.json").exists()
    said = here("verify", str(out))
    assert said.code == 3
    figures.add(f"{change}", ended.seconds)
    if change == "remove":
        file.write_bytes(records(40))
    pipe.unlink()
    pipe.write_bytes(records(5, " in between"))  # a plain file of the same name
    fresh = folder / "fresh"
    args = ["prepare", str(first), str(pipe), str(last), *_COMMON]
    assert run([*args, "-o", str(fresh)]).code == 0
    again = run([*args, "-o", str(out)])
    assert again.code == 0, again
    assert tree(out) == tree(fresh)
