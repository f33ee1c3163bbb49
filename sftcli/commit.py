"""Commit of the output folder: one writer at a time, all or nothing.

New files are made below OUT/.staging/new (see staging), their manifest last. A commit moves the old
dataset into .staging/old, the new files into OUT, and the new manifest at the very end: a folder without
a manifest is not a dataset. A run that was stopped in between is undone by the next one.

Before anything is moved all new files are on the disk (fsync), and before the manifest is, so are their
names: what a manifest lists outlasts a power cut.
"""

import errno
import os
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from sftcli.errors import EnvironmentFault, OutputError, TooManyBadError
from sftcli.failpoints import reach
from sftcli.lock import LOCK, Lock
from sftcli.manifest import MANIFEST, STAGING, file_facts, pretty_json, read_manifest
from sftcli.staging import Staging, is_plain

_SYNCS = 16
_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.EROFS, errno.ENOTSUP)  # of a folder above
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
    with _as_fault(out):
        lock = Lock.take(out)
    staging, keep = Staging(out, lock), False
    try:
        with _as_fault(out):
            staging.remove_links()
            _undo(out)
            if staging.is_committed():
                staging.clear()  # of a run that was stopped after its commit
            yield staging
    except BaseException as problem:
        keep = staging.outlasts(problem)
        if keep and staging.command and not isinstance(problem, TooManyBadError):  # another option is needed
            problem.add_note(f"{RESUME}{staging.command}")
        raise
    finally:
        if lock.is_held and not keep and not _is_half_done(out):
            _remove(staging.root)
        lock.close()
        if not existed and out.is_dir() and not any(out.iterdir()):
            out.rmdir()


def _remove(root: Path) -> None:
    """Remove a staging folder, its lock last: the next run must not begin in what is still being removed."""
    with suppress(OSError):
        for path in root.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != LOCK:
                path.unlink()
    shutil.rmtree(root, ignore_errors=True)


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


def commit(staging: Staging, manifest: Mapping[str, Any]) -> None:
    """Put what is staged in the place of the old dataset, or leave that as it was.

    Raises OSError where the disk fails, and OutputError where a file stands in the way that is none of the
    old dataset.
    """
    new, out = staging.new, staging.out
    old, listed = staging.root / "old", read_manifest(out)["files"] if (out / MANIFEST).exists() else {}
    _refuse_strangers(out, manifest["files"], listed)
    try:
        (new / MANIFEST).write_bytes(pretty_json(manifest))
        staging.will_make(manifest["sha256"])
        reach("commit.staged")
        with ThreadPoolExecutor(_SYNCS) as pool:  # the disk takes many at once in the time of a few
            list(pool.map(_sync, _files(new)))
        for folder in _folders(new):
            _sync(folder)
        _sync(staging.root)
        _sync(out)
        _sync_above(out)
        reach("commit.synced")
        if (out / MANIFEST).exists():
            _move(MANIFEST, out, old)
            _sync_all(out, old, [MANIFEST])  # what has a manifest is whole, in whatever order a disk writes
            for name in listed:
                _move(name, out, old)
            _sync_all(out, old, listed)
        reach("commit.old_moved")
        for name in manifest["files"]:
            _move(name, new, out)
        _sync_all(out, new, manifest["files"])
        reach("commit.new_moved")
        _move(MANIFEST, new, out)
        _sync(out)
        reach("commit.done")
    except BaseException:
        _undo(out)
        raise


def _sync_all(out: Path, other: Path, names: Collection[str]) -> None:
    """Bring to the disk that files were moved between `out` and another folder."""
    folders = {(folder / name).parent for folder in (out, other) for name in names if is_plain(name)}
    for folder in sorted(folders | {out, other}):
        if folder.is_dir():
            _sync(folder)


def _sync_above(out: Path) -> None:
    """Bring to the disk that there is a folder `out`, and those that it is in; as far as we may."""
    for folder in out.absolute().parents:
        try:
            _sync(folder)
        except OSError as problem:
            if problem.errno not in _NOT_OURS:
                raise


def _refuse_strangers(out: Path, names: Collection[str], listed: Collection[str]) -> None:
    """Raise OutputError where a new file would take the place of one that the old manifest does not list."""
    for name in names:
        link = next((path for path in _folders_to(out, name) if path.is_symlink()), None)
        if link is not None:
            raise OutputError(f"{link}: is a link, and files of the dataset go there; remove it")
        if os.path.lexists(out / name) and name not in listed:
            raise OutputError(
                f"{out / name}: stands where a file of the dataset goes, and is of no dataset; move it away"
            )


def _is_half_done(out: Path) -> bool:
    """Whether files of the old dataset are not yet back in their places."""
    return (out / STAGING / "old" / MANIFEST).exists() and not (out / MANIFEST).exists()


def _undo(out: Path) -> None:
    """Take back a commit that did not come to its end."""
    new, old = out / STAGING / "new", out / STAGING / "old"
    if (out / MANIFEST).exists():
        shutil.rmtree(old, ignore_errors=True)  # it did, or none had begun
        return
    if (new / MANIFEST).exists():
        listed = _listed(new / MANIFEST)
        for name in listed:
            if not (new / name).exists():
                _move(name, out, new)
        for folder in sorted({folder for name in listed for folder in _folders_to(out, name)}, reverse=True):
            if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
                folder.rmdir()  # made for a file that did not come
    if (old / MANIFEST).exists():
        listed = _listed(old / MANIFEST)
        for name in listed:
            _move(name, old, out)
        _sync_all(out, old, listed)
        _move(MANIFEST, old, out)


def _listed(path: Path) -> list[str]:
    """The plain names that a manifest lists."""
    try:
        names = list(msgspec.json.decode(path.read_bytes(), type=dict[str, Any])["files"])
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, RecursionError):
        return []  # cut off while it was written: nothing had been moved then
    return [name for name in names if isinstance(name, str) and is_plain(name)]


def _move(name: str, source: Path, target: Path) -> None:
    """Move one file, if it is there. A manifest that was tampered with must not reach outside."""
    path = source / name
    if not is_plain(name) or any(
        folder.is_symlink() for one in (source, target) for folder in _folders_to(one, name)
    ):
        return
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not (stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and not path.is_dir())):
        return
    (target / name).parent.mkdir(parents=True, exist_ok=True)
    reach("file.move", name)
    os.replace(path, target / name)
    reach("file.moved", name)
    if path.parent != source and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _folders_to(folder: Path, name: str) -> list[Path]:
    """The folders between a folder and a file in it."""
    return [folder / inner for inner in Path(name).parents if inner != Path()]


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
