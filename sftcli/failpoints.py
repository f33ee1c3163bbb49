"""Places at which a test lets a run fail: named in the environment, and nothing where it is not set.

SFTCLI_FAILPOINTS=manifest.moved=kill,shard.written@2=ENOSPC kills the process when it gets to
`manifest.moved`, and has the second call of `shard.written` raise an OSError with that number. `stop` ends
the process as SIGTERM does. What stands behind `:` is a part of the place's detail, such as a file name:
shard.written:00003=kill.
"""

import errno
import os
import signal
from dataclasses import dataclass

VARIABLE = "SFTCLI_FAILPOINTS"


@dataclass
class _Failpoint:
    """`at`: the how-manieth call fails, 0 for every one."""

    name: str
    detail: str
    action: str
    at: int
    calls: int = 0

    def reached(self, name: str, detail: str) -> None:
        if name != self.name or self.detail not in detail:
            return
        self.calls += 1
        if self.at not in (0, self.calls):
            return
        if self.action == "kill":
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
