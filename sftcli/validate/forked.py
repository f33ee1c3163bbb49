"""Work on many items in several processes, the results in the items' order.

A process takes the next item as soon as it is free, but none that lies far ahead of the result that
is given next. So memory is bounded, and the order is that of one process. A process that dies is
noticed at once.
"""

import os
import pickle
import signal
import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from select import select
from typing import BinaryIO, TypeVar

from sftcli.errors import EnvironmentFault, InternalError

Item = TypeVar("Item")
Result = TypeVar("Result")
_NUMBER = struct.Struct("<I")
_HEAD = struct.Struct("<IQ?")
_AHEAD = 8  # items a process that may be begun before the next result is there
_PIPE_BYTES = 1 << 20
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def in_order(
    task: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Generator[Result, None, None]:
    """`task` of each item; this process is one of the `workers`.

    Raises what `task` raises where that is an EnvironmentFault, and one of its own where a process
    was killed. To stop early, close the iterator.
    """
    workers = min(workers, len(items))
    if workers < 2 or not hasattr(os, "fork"):
        yield from map(task, items)
        return
    queue = _Queue()
    others: dict[BinaryIO, int] = {}
    try:
        ahead = _AHEAD * workers
        for number in range(min(ahead, len(items))):
            queue.put(number)
        with _uninterrupted():  # or a process that has just begun would not be known, and left behind
            for _ in range(1, workers):
                pid, source = _begin(task, items, queue)
                others[source] = pid
        ready: dict[int, Result] = {}
        for index in range(len(items)):
            while index not in ready:
                ready.update(_received(others, wait=0) or _own(task, items, queue) or _received(others))
            yield ready.pop(index)
            if index + ahead < len(items):
                queue.put(index + ahead)
    finally:
        queue.close()
        for source, pid in others.items():
            source.close()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


class _Queue:
    """The numbers of the items that nobody has begun; each is taken by one process."""

    def __init__(self) -> None:
        self.source, self.sink = os.pipe()
        os.set_blocking(self.source, False)  # another process may be quicker

    def put(self, number: int) -> None:
        os.write(self.sink, _NUMBER.pack(number))

    def take(self) -> int | None:
        """The next number; None where there is none. Raises EOFError where none will come."""
        try:
            data = os.read(self.source, _NUMBER.size)
        except BlockingIOError:
            return None
        if not data:
            raise EOFError
        return int(_NUMBER.unpack(data)[0])

    def numbers(self) -> Iterator[int]:
        """The numbers that this process gets, until the one that puts them has ended."""
        os.close(self.sink)
        with suppress(EOFError):
            while True:
                select([self.source], [], [])
                number = self.take()
                if number is not None:
                    yield number

    def close(self) -> None:
        os.close(self.source)
        os.close(self.sink)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals that end the run wait until the context is left."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(task: Callable[[Item], Result], items: Sequence[Item], queue: _Queue) -> tuple[int, BinaryIO]:
    """Start a process that works on items of the queue; its id, and where its results can be read."""
    source, sink = os.pipe()
    pid = os.fork()
    if pid:
        os.close(sink)
        _widen(source)
        return pid, os.fdopen(source, "rb", buffering=0)
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends this one
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        os.close(source)
        with os.fdopen(sink, "wb") as out:
            for number in queue.numbers():
                out.write(_packed(task, items, number))
                out.flush()
    finally:
        os._exit(0)  # whatever happened, nothing of the first process's work is done twice


def _own(task: Callable[[Item], Result], items: Sequence[Item], queue: _Queue) -> dict[int, Result]:
    """The result of an item that this process works on, if one is left to begin."""
    number = queue.take()
    return {} if number is None else {number: task(items[number])}


def _packed(task: Callable[[Item], Result], items: Sequence[Item], number: int) -> bytes:
    failed = False
    try:
        data = pickle.dumps(task(items[number]), pickle.HIGHEST_PROTOCOL)
    except BaseException as problem:  # it is raised where somebody can handle it
        failed = True
        data = pickle.dumps((isinstance(problem, EnvironmentFault), f"{type(problem).__name__}: {problem}"))
    return _HEAD.pack(number, len(data), failed) + data


def _received(others: dict[BinaryIO, int], wait: float | None = None) -> dict[int, Result]:
    """The results that other processes have sent; waits for the first one, or `wait` seconds."""
    sources, _, _ = select(list(others), [], [], wait)
    return dict(_receive(source, others[source]) for source in sources)


def _receive(source: BinaryIO, pid: int) -> tuple[int, Result]:
    number, size, failed = _HEAD.unpack(_exactly(source, _HEAD.size, pid))
    data = _exactly(source, size, pid)
    found = pickle.loads(data)  # noqa: S301 (from a process of our own, through a pipe that only it has)
    if not failed:
        return number, found
    is_environment, message = found
    raise EnvironmentFault(message.partition(": ")[2]) if is_environment else InternalError(message)


def _exactly(source: BinaryIO, size: int, pid: int) -> bytes:
    """`size` bytes; unbuffered, so that what has not been read can be waited for."""
    parts: list[bytes] = []
    while size:
        part = source.read(size)
        if not part:
            raise EnvironmentFault(
                f"a worker process ({pid}) was ended from outside, perhaps for want of memory; "
                "run again, or with --num-proc 1"
            )
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _widen(pipe: int) -> None:
    """Room for a result or two, so that a process need not wait until the other one takes it."""
    import fcntl

    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # the system allows less
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
