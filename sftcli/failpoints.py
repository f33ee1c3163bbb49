"""Places at which a test lets a run fail: named in the environment, and nothing where it is not set.

SFTCLI_FAILPOINTS=file.move=kill,file.sync@2=ENOSPC kills the process when it gets to `file.move`, and has the
second call of `file.sync` raise an OSError with that number. `stop` ends the process as SIGTERM does, and
`tell` writes the place to stderr; `*` is every place. What stands behind `:` is a part of the place's
detail, such as a file name: split.written:00003=kill.
"""

import errno
import itertools
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field

VARIABLE = "SFTCLI_FAILPOINTS"


@dataclass
class _Failpoint:
    """`at`: the how-manieth call fails, 0 for every one."""

    name: str
    detail: str
    action: str
    at: int
    calls: Iterator[int] = field(default_factory=lambda: itertools.count(1))  # told apart by threads too

    def reached(self, name: str, detail: str) -> None:
        if self.name not in (name, "*") or self.detail not in detail:
            return
        if self.at not in (0, next(self.calls)):
            return
        if self.action == "tell":
            os.write(2, f"failpoint {name} {detail}\n".encode())
        elif self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.action == "stop":
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            number = getattr(errno, self.action)
            raise OSError(number, os.strerror(number))


def _parse(text: str) -> _Failpoint:
    place, _, action = text.partition("=")
    place, _, at = place.partition("@")
    name, _, detail = place.partition(":")
    return _Failpoint(name, detail, action, int(at or 0))


_FAILPOINTS = [_parse(text) for text in os.environ.get(VARIABLE, "").split(",") if text]


def reach(name: str, detail: str = "") -> None:
    """Fail here, if the environment says so."""
    for failpoint in _FAILPOINTS:
        failpoint.reached(name, detail)


def active() -> bool:
    """Whether any failpoint is set, so that one in a place that is passed often need not be asked for."""
    return bool(_FAILPOINTS)
