"""This process: hands out splits to others, and notices one that dies.

Each process has its pipes to itself, so that none waits for another. One that is killed is known by the
end of its pipe, and a fresh one takes its place and its split.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import BinaryIO

from sftcli.cores import SHARE, cores
from sftcli.errors import EnvironmentFault, SftcliError
from sftcli.progress import NOTHING, Progress, Step
from sftcli.workers.killers import Blame, Task
from sftcli.workers.messages import (
    NOT_FOR_WORKERS,
    Answer,
    At,
    Begin,
    Failed,
    Order,
    Ready,
    Warm,
    Went,
    answers,
    receive,
    send,
)

# Its own modules and nothing of the current folder, which may hold a json.py of anybody's.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from sftcli.workers.listen import main; main()"
)
_MOST_IN_VAIN = 3  # processes in a row that end before they have begun


@dataclass(eq=False)
class _Process:
    """Another process: what it was told and has not read, the task it has, and where in it it is.

    `first` is the task that it begins with, where it takes the place of a process that was killed over it.
    """

    popen: "subprocess.Popen[bytes]"
    unsent: "SimpleQueue[Order | None]" = field(default_factory=SimpleQueue)
    sender: threading.Thread | None = None
    is_ready: bool = False
    first: Task | None = None
    task: Task | None = None
    at: tuple[int, int] | None = None
    went: Step = NOTHING

    @property
    def source(self) -> BinaryIO:
        assert self.popen.stdout is not None  # noqa: S101 (it is asked for below)
        return self.popen.stdout  # type: ignore[return-value]

    def send(self) -> None:
        """Send what there is to send, in a thread of its own: a tokenizer does not fit into a pipe."""
        assert self.popen.stdin is not None  # noqa: S101 (as above)
        # Where it is dead, that is noticed where it is read from.
        with self.popen.stdin as sink, suppress(BrokenPipeError):
            while (order := self.unsent.get()) is not None:
                send(sink, order)  # type: ignore[arg-type]


class Pool:
    """Processes that do splits. To be closed, whatever happens."""

    def __init__(self, count: int, tokenizer_json: bytes | None = None) -> None:
        self._selector = selectors.DefaultSelector()
        self._count, self._in_vain = count, 0
        self._first: list[Order] = [] if tokenizer_json is None else [Warm(tokenizer_json)]
        self._processes = [self._start() for _ in range(count)]

    def begin(self, spec: bytes) -> None:
        """Tell all processes what the run is."""
        self._first.append(Begin(spec))
        for process in self._processes:
            process.unsent.put(Begin(spec))

    def results(
        self, numbers: Sequence[int], blame: Blame, tell: Progress | None = None
    ) -> Iterator[tuple[int, SftcliError | None]]:
        """Do the splits of these numbers: each one's number when it is done, and what it failed of."""
        waiting = [Task(number) for number in reversed(numbers)]
        left = len(waiting)
        while left:
            self._hand_out(waiting)
            for process in self._heard():
                answer = _answer(process)
                if answer is None:
                    self._bury(process, blame, waiting, tell)
                elif isinstance(answer, Ready):
                    process.is_ready, self._in_vain = True, 0
                elif isinstance(answer, Went):
                    _note(process, Step(answer.bytes, answer.tokens, answer.bad), tell)
                elif isinstance(answer, At):
                    process.at = answer.first, answer.last
                elif process.task is None:
                    raise answer.error() if isinstance(answer, Failed) else EnvironmentFault("no task")
                else:
                    task, process.task = process.task, None
                    blame.went_well(task)
                    left -= 1
                    yield task.number, answer.error() if isinstance(answer, Failed) else None

    def _hand_out(self, waiting: list[Task]) -> None:
        for process in self._processes:
            if process.is_ready and process.task is None and (process.first or waiting):
                process.task, process.first = process.first or waiting.pop(), None
                process.at, process.went = None, NOTHING
                process.unsent.put(process.task.order)

    def _heard(self) -> list[_Process]:
        return [key.data for key, _ in self._selector.select()]

    def _bury(self, process: _Process, blame: Blame, waiting: list[Task], tell: Progress | None) -> None:
        """Put a fresh process in the place of one that is dead. What that had done of its split is undone."""
        self._end(process)
        how, first = process.popen.returncode, process.first
        if process.task is None:
            self._in_vain += 1
            if self._in_vain >= _MOST_IN_VAIN:
                raise EnvironmentFault(
                    f"worker processes end before they have begun (exit code {how}); run with --num-proc 1"
                )
        else:
            first = blame.after_death(process.task, process.at, how)
            if tell is not None:
                tell(Step(*(-done for done in process.went)))
        self._processes.append(self._start())
        self._processes[-1].first = first

    def _start(self) -> _Process:
        share = str(max(1, cores() // self._count))
        environment = {**os.environ, SHARE: share, "RAYON_NUM_THREADS": share}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, NOT_FOR_WORKERS)  # it begins so, and ignores them
        try:
            popen = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                bufsize=0,  # what was read of a message and is not asked for could not be waited for
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        process = _Process(popen)
        for order in self._first:
            process.unsent.put(order)
        process.sender = threading.Thread(target=process.send, daemon=True)
        process.sender.start()
        self._selector.register(process.source, selectors.EVENT_READ, process)
        return process

    def _end(self, process: _Process) -> None:
        self._processes.remove(process)
        self._selector.unregister(process.source)
        process.popen.kill()
        process.popen.wait()
        process.unsent.put(None)
        process.source.close()
        if process.sender is not None:
            process.sender.join()

    def close(self) -> None:
        """End all processes, whatever they do."""
        for process in self._processes:
            process.popen.kill()
        for process in list(self._processes):
            self._end(process)
        self._selector.close()


def _answer(process: _Process) -> Answer | None:
    """What a process says; None where it is dead."""
    try:
        answer: Answer = answers.decode(receive(process.source))
        return answer
    except EOFError:
        return None


def _note(process: _Process, step: Step, tell: Progress | None) -> None:
    process.went = Step(*(done + more for done, more in zip(process.went, step, strict=True)))
    if tell is not None:
        tell(step)
