"""A folder for what is made again; those that killed runs have left are removed by the next one."""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

_PREFIX = "sftcli-verify-"
_LOCK = "lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder among the system's temporary ones, which is gone afterwards."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        _remove_if_left(left)
    with TemporaryDirectory(prefix=_PREFIX) as name:
        # The system gives the lock back however the process ends.
        handle = os.open(Path(name, _LOCK), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(handle)


def _remove_if_left(folder: Path) -> None:
    """Remove a folder of our own whose run holds its lock no more; any other stays."""
    with suppress(OSError):
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            return
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which fails while the run goes on
            shutil.rmtree(folder)
        finally:
            os.close(handle)
