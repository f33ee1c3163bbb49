"""OUT/.staging/lock: one run writes to a folder, and nothing that a killed run left running beside it.

A run holds the lock alone. Before other processes write for it, it shares the lock with those that know
what it wrote into the file. A run that is killed leaves them a moment longer than itself, and until the
last of them is gone no other run begins: it would make the same files.
"""

import fcntl
import os
import stat
import time
from pathlib import Path

from sftcli.errors import EnvironmentFault, OutputError
from sftcli.manifest import STAGING

_PATIENCE = 10.0  # seconds for the processes of a run that was killed, which end by themselves
LOCK = "lock"


class Lock:
    """The lock of one folder, held. The system gives it back when the processes end, however they end."""

    def __init__(self, handle: int, owner: str, out: Path) -> None:
        self._handle, self._owner, self._out = handle, owner, out
        self.is_held = True

    @classmethod
    def take(cls, out: Path) -> "Lock":
        """The lock of `out`, whose staging folder is made.

        Raises EnvironmentFault where another run has it, OutputError where the staging folder is a link,
        and OSError where the folder cannot be written.
        """
        root, until = out / STAGING, time.monotonic() + _PATIENCE
        while True:
            if root.is_symlink():
                raise OutputError(
                    f"{root}: is a link, and a run keeps its files in its own folder; remove it"
                )
            try:
                root.mkdir(parents=True, exist_ok=True)
                handle = _open(root / LOCK)
            except FileNotFoundError:  # taken away in between, by a run that ended
                if time.monotonic() > until:
                    raise
                continue
            try:
                owner = _try(handle, root / LOCK)
                if owner is None:
                    owner = _write(handle)
                    return cls(os.dup(handle), owner, out)
            finally:
                os.close(handle)
            if owner and not (_is_dead(owner) and time.monotonic() < until):
                raise _busy(out, owner)
            time.sleep(0.02)

    def share(self) -> str:
        """Let other processes hold it too that `join` with what this returns."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:  # it was let go of for a moment, in which another run took it
            self.is_held = False
            raise _busy(self._out, "just begun") from None
        return self._owner

    def close(self) -> None:
        os.close(self._handle)


def join(out: Path, owner: str) -> None:
    """Hold the lock of `out` beside the run that shares it as `owner`, as long as this process lives.

    Raises EnvironmentFault where that run has it no longer.
    """
    handle = os.open(out / STAGING / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _busy(out, "just begun") from None
    if os.pread(handle, 200, 0).decode(errors="replace") != owner:
        raise _busy(out, "just begun")


def _open(path: Path) -> int:
    if path.is_symlink() or (path.exists() and not stat.S_ISREG(path.lstat().st_mode)):
        path.unlink()  # nothing that a run made
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)


def _try(handle: int, path: Path) -> str | None:
    """None where the lock is ours now; else who has it, or nothing where that must be tried again."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(handle, 200, 0).decode(errors="replace") or "just begun"
    try:
        is_same = os.fstat(handle).st_ino == path.lstat().st_ino
    except FileNotFoundError:
        is_same = False  # a run that ended has removed it since it was opened
    return None if is_same else ""


def _write(handle: int) -> str:
    """Tells who has the lock: the first line to people, the second to `join`."""
    owner = f"process {os.getpid()} on {os.uname().nodename}\n{os.urandom(8).hex()}\n"
    os.truncate(handle, 0)
    os.pwrite(handle, owner.encode(), 0)
    return owner


def _is_dead(owner: str) -> bool:
    """Whether the process that wrote it is gone, as far as can be known from here."""
    match owner.split():
        case ["process", number, "on", host, *_] if number.isdecimal() and host == os.uname().nodename:
            try:
                os.kill(int(number), 0)
            except ProcessLookupError:
                return True
            except (OSError, OverflowError):
                return False
    return False


def _busy(out: Path, owner: str) -> EnvironmentFault:
    who = owner.split("\n", 1)[0]
    return EnvironmentFault(
        f"{out}: another run is writing to this folder ({who}); wait for it, or name another folder"
    )
