"""Commit of the output folder: one writer at a time, all or nothing.

New files are made below OUT/.staging/new (see staging), their manifest last. A commit moves the old
dataset into .staging/old, the new files into OUT, and the new manifest at the very end: a folder without
a manifest is not a dataset. A run that was stopped in between is undone by the next one.

Before anything is moved all new files are on the disk (fsync), and before the manifest is, so are their
names: what a manifest lists outlasts a power cut.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from sftcli.errors import EnvironmentFault
from sftcli.failpoints import reach
from sftcli.manifest import MANIFEST, STAGING, file_facts, pretty_json, read_manifest
from sftcli.staging import Staging

_SYNCS = 16
RESUME = "resume with: "  # the note of an error after which a later run may go on


@contextmanager
def staged(out: Path) -> Iterator[Staging]:
    """The staging folder of `out`, while no other run writes to it.

    What is in it stays where the run is stopped from outside, or by bad records, after splits were done; a
    later run may go on with them. Otherwise it is removed in the end, and so is `out` where it was not there
    and nothing is in it. Raises EnvironmentFault where `out` cannot be written or another run is writing
    to it.
    """
    existed = out.exists()
    staging = Staging(out)
    with _as_fault(out):
        staging.root.mkdir(parents=True, exist_ok=True)
        lock = _lock(out)
        _undo(out)
        if (out / MANIFEST).exists() and staging.is_empty():
            staging.clear()  # of a run that was stopped after its commit
    keep = False
    try:
        with _as_fault(out):
            yield staging
    except BaseException as problem:
        keep = staging.outlasts(problem)
        if keep and staging.command:
            problem.add_note(f"{RESUME}{staging.command}")
        raise
    finally:
        if not keep:
            shutil.rmtree(staging.root, ignore_errors=True)
        os.close(lock)
        if not existed and out.is_dir() and not any(out.iterdir()):
            out.rmdir()


@contextmanager
def _as_fault(out: Path) -> Iterator[None]:
    """What the system refuses is an EnvironmentFault."""
    try:
        yield
    except OSError as problem:
        raise EnvironmentFault(f"{out}: cannot be written: {problem.strerror or problem}") from None


def staged_files(staging: Path, known: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every file below the staging folder by its path in it, with its bytes and sha256, sorted.

    `known` are those that need not be read again.
    """
    paths = sorted(path for path in staging.rglob("*") if path.is_file())
    names = {path.relative_to(staging).as_posix(): path for path in paths}
    return {name: known[name] if name in known else file_facts(path) for name, path in names.items()}


def commit(staging: Path, out: Path, manifest: Mapping[str, Any]) -> None:
    """Put what is staged in the place of the old dataset, or leave that as it was.

    Raises OSError where the disk fails.
    """
    old = out / STAGING / "old"
    try:
        (staging / MANIFEST).write_bytes(pretty_json(manifest))
        reach("commit.staged")
        with ThreadPoolExecutor(_SYNCS) as pool:  # the disk takes many at once in the time of a few
            list(pool.map(_sync, _files(staging)))
        for folder in _folders(staging):
            _sync(folder)
        _sync(staging.parent)
        reach("commit.synced")
        if (out / MANIFEST).exists():
            listed = read_manifest(out)["files"]
            _move(MANIFEST, out, old)
            for name in listed:
                _move(name, out, old)
        reach("commit.old_moved")
        for name in manifest["files"]:
            _move(name, staging, out)
        for folder in sorted({(out / name).parent for name in manifest["files"]} | {out}):
            _sync(folder)
        reach("commit.new_moved")
        _move(MANIFEST, staging, out)
        _sync(out)
        reach("commit.done")
    except OSError:
        _undo(out)
        raise


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
    reach("file.move", name)
    os.replace(path, target / name)
    reach("file.moved", name)
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


def _files(folder: Path) -> list[Path]:
    return sorted(Path(root) / name for root, _, names in os.walk(folder) for name in names)


def _folders(folder: Path) -> list[Path]:
    """A folder and all in it, the inner ones first."""
    return [Path(root) for root, _, _ in os.walk(folder, topdown=False)]


def _sync(path: Path) -> None:
    reach("file.sync", path.name)
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
