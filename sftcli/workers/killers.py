"""Which record kills the process that reads it.

The split of a process that was killed is done again, slowly: before each block it is told which lines come
next. Where that process is killed too, a third one goes through the lines of its last block one by one;
the line at which it dies is the one to blame.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sftcli.errors import EnvironmentFault
from sftcli.workers.messages import OUT_OF_MEMORY, Do, Try

_MOST_DEADLY = 20  # records of a split, after which it is taken for the machine's fault
Place = Callable[[int, int, int], str]  # of a split's number and its lines from and to, as file:line


@dataclass
class Task:
    """A split to be done. `deadly` are the lines that are left out; `lines` are those that are tried."""

    number: int
    deadly: list[int] = field(default_factory=list)
    deaths: int = 0
    lines: tuple[int, int] | None = None

    @property
    def order(self) -> Do | Try:
        if self.lines is not None:
            return Try(self.number, *self.lines, self.deadly)
        return Do(self.number, self.deadly, slowly=self.deaths > 0)


class Blame:
    """Decides what is done over a split whose process was killed.

    `place` says where lines are. `leaves_out`: whether a record that kills is left out, or ends the run.
    """

    def __init__(self, place: Place, *, leaves_out: bool) -> None:
        self._place, self._leaves_out = place, leaves_out

    def after_death(self, task: Task, at: tuple[int, int] | None, how: int) -> Task:
        """What to do next. Raises EnvironmentFault, with the lines, where there is nothing left to do."""
        if at is not None and (task.lines is not None or (task.deaths and at[0] == at[1])):
            return self._without(task, at[0], how)
        if task.deaths == 0:
            return Task(task.number, task.deadly, deaths=1)
        if at is None:
            raise EnvironmentFault(f"{self._place(task.number, 0, 0)}: {_killed(how)}")
        return Task(task.number, task.deadly, task.deaths + 1, lines=at)

    def went_well(self, task: Task) -> None:
        """Raise EnvironmentFault where lines over which processes were killed do no harm one by one."""
        if task.lines is not None:
            raise EnvironmentFault(f"{self._place(task.number, *task.lines)}: {_killed(None)}")

    def _without(self, task: Task, line: int, how: int) -> Task:
        if not self._leaves_out:
            raise EnvironmentFault(
                f"{self._place(task.number, line, line)}: the processes that read this record were "
                f"{_how(how)}; take it out, or pass --on-error skip or --on-error quarantine"
            )
        if len(task.deadly) >= _MOST_DEADLY:
            raise EnvironmentFault(f"{self._place(task.number, line, line)}: {_killed(how)}")
        return Task(task.number, [*task.deadly, line])


def _killed(how: int | None) -> str:
    return f"two processes in turn were {_how(how)} over these lines; run again, or with --num-proc 1"


def _how(code: int | None) -> str:
    if code == OUT_OF_MEMORY:
        return "out of memory"
    if code is not None and code >= 0:
        return f"ended (exit code {code})"
    signal = "" if code is None else f" by signal {-code}"
    return f"killed{signal}" + (", perhaps for want of memory" if code in (-9, None) else "")
