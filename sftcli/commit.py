"""Staging and commit of the output folder: one writer at a time, all or nothing.

New files are written below OUT/.staging/new, their manifest last. A commit moves the old dataset
into .staging/old, the new files into OUT, and the new manifest at the very end: a folder without a
manifest is not a dataset. A run that was stopped in between is undone by the next one.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from sftcli.errors import EnvironmentFault
from sftcli.manifest import MANIFEST, file_facts, pretty_json, read_manifest

STAGING = ".staging"


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A fresh folder to write into, while no other run writes to `out`.

    Afterwards the folder is gone, and so is `out` where it was not there and nothing is in it.
    Raises EnvironmentFault where `out` cannot be written or another run is writing to it.
    """
    existed = out.exists()
    folder = out / STAGING
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _lock(out)
        _undo(out)
        shutil.rmtree(folder / "new", ignore_errors=True)
        (folder / "new").mkdir()
    except OSError as problem:
        raise EnvironmentFault(f"{out}: cannot be written: {problem.strerror or problem}") from None
    try:
        yield folder / "new"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        if not existed and out.is_dir() and not any(out.iterdir()):
            out.rmdir()


def staged_files(staging: Path, known: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every file below the staging folder by its path in it, with its bytes and sha256, sorted.

    `known` are those that need not be read again.
    """
    paths = sorted(path for path in staging.rglob("*") if path.is_file())
    names = {path.relative_to(staging).as_posix(): path for path in paths}
    return {name: known[name] if name in known else file_facts(path) for name, path in names.items()}


def commit(staging: Path, out: Path, manifest: Mapping[str, Any]) -> None:
    """Put what is staged in the place of the old dataset, or leave that as it was.

    Raises EnvironmentFault where the disk fails.
    """
    old = out / STAGING / "old"
    try:
        (staging / MANIFEST).write_bytes(pretty_json(manifest))
        for path in _walk(staging):
            _sync(path)
        _sync(staging.parent)
        if (out / MANIFEST).exists():
            listed = read_manifest(out)["files"]
            _move(MANIFEST, out, old)
            for name in listed:
                _move(name, out, old)
        for name in manifest["files"]:
            _move(name, staging, out)
        for folder in {out / name for name in manifest["files"]}:
            _sync(folder.parent)
        _move(MANIFEST, staging, out)
        _sync(out)
    except OSError as problem:
        _undo(out)
        raise EnvironmentFault(f"{out}: cannot be written: {problem.strerror or problem}") from None


def _undo(out: Path) -> None:
    """Take back a commit that did not come to its end."""
    new, old = out / STAGING / "new", out / STAGING / "old"
    if (out / MANIFEST).exists():
        shutil.rmtree(old, ignore_errors=True)  # it did, or none had begun
        return
    if (new / MANIFEST).exists():
        for name in _listed(new / MANIFEST):
            if not (new / name).exists():
                _move(name, out, new)
    if (old / MANIFEST).exists():
        for name in _listed(old / MANIFEST):
            _move(name, old, out)
        _move(MANIFEST, old, out)


def _listed(path: Path) -> list[str]:
    try:
        return list(msgspec.json.decode(path.read_bytes())["files"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return []  # cut off while it was written: nothing had been moved then


def _move(name: str, source: Path, target: Path) -> None:
    """Move one file, if it is there. A manifest that was tampered with must not reach outside."""
    path = source / name
    if not path.is_file() or source.resolve() not in path.resolve().parents:
        return
    (target / name).parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, target / name)
    if path.parent != source and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _lock(out: Path) -> int:
    """The open lock file of `out`; the system gives it back when the process ends, however it ends."""
    path = out / STAGING / "lock"
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(handle, 100).decode(errors="replace").strip()
            os.close(handle)
            raise EnvironmentFault(
                f"{out}: another run is writing to this folder ({owner or 'just begun'}); "
                "wait for it, or name another folder"
            ) from None
        if path.exists() and os.fstat(handle).st_ino == path.stat().st_ino:
            os.truncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {os.uname().nodename}\n".encode())
            return handle
        os.close(handle)  # of a run that ended in between
        path.parent.mkdir(parents=True, exist_ok=True)


def _walk(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder, topdown=False):
        yield from (Path(root) / name for name in sorted(names))
        yield Path(root)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
