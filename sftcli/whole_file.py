"""A file that is written whole or not at all."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sftcli.errors import EnvironmentFault, UsageError

_STREAMS = ("/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")


def require_plain(flag: str, path: str) -> None:
    """Raise UsageError where `path` is there and is no plain file, nor a link to one."""
    try:
        plain = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return
    except OSError as problem:
        raise EnvironmentFault(f"{path}: cannot be looked at: {problem.strerror or problem}") from None
    if not plain or path.startswith(_STREAMS):
        raise UsageError(f"{flag} {path}: is no plain file; name one, or a new one")


@contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """A file to write into, which takes the place of `path` when the context ends without an error.

    Until then it has a name that no other file has, in the same folder, and after an error it is gone.
    A link stays, and what it leads to is replaced, which keeps its rights. Raises EnvironmentFault
    where the disk fails.
    """
    target = Path(os.path.realpath(path))
    unfinished = target.with_name(f".{target.name[:200]}.{secrets.token_hex(8)}.unfinished")
    try:
        # Never a file that is there, nor what a link leads to.
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                if target.exists():
                    os.fchmod(handle, stat.S_IMODE(target.stat().st_mode))
                yield file
            os.replace(unfinished, target)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            raise
    except OSError as problem:
        raise EnvironmentFault(f"{path}: cannot be written: {problem.strerror or problem}") from None
