"""Work on many items in several processes, the results in the items' order.

Item i goes to process i modulo their number, and a process waits where nobody takes its results. So
memory is bounded and the order is that of one process. A process that dies is noticed at once.
"""

import os
import pickle
import signal
import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO, TypeVar

from sftcli.errors import EnvironmentFault, InternalError

Item = TypeVar("Item")
Result = TypeVar("Result")
_SIZE = struct.Struct("<Q?")
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
    others: list[tuple[int, BinaryIO]] = []
    try:
        with _uninterrupted():  # or a process that has just begun would not be known, and left behind
            for number in range(1, workers):
                others.append(_begin(task, items[number::workers]))
        for index, item in enumerate(items):
            number = index % workers
            yield task(item) if number == 0 else _receive(others[number - 1])
    finally:
        for pid, source in others:
            source.close()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals that end the run wait until the context is left."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(task: Callable[[Item], Result], items: Sequence[Item]) -> tuple[int, BinaryIO]:
    """Start a process that works on `items`; its id, and where its results can be read."""
    source, sink = os.pipe()
    pid = os.fork()
    if pid:
        os.close(sink)
        _widen(source)
        return pid, os.fdopen(source, "rb")
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends this one
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        os.close(source)
        with os.fdopen(sink, "wb") as out:
            for item in items:
                out.write(_packed(task, item))
                out.flush()
    finally:
        os._exit(0)  # whatever happened, nothing of the first process's work is done twice


def _packed(task: Callable[[Item], Result], item: Item) -> bytes:
    failed = False
    try:
        data = pickle.dumps(task(item), pickle.HIGHEST_PROTOCOL)
    except BaseException as problem:  # it is raised where somebody can handle it
        failed = True
        data = pickle.dumps((isinstance(problem, EnvironmentFault), f"{type(problem).__name__}: {problem}"))
    return _SIZE.pack(len(data), failed) + data


def _receive(other: tuple[int, BinaryIO]) -> Result:  # type: ignore[type-var]
    pid, source = other
    head = source.read(_SIZE.size)
    size, failed = _SIZE.unpack(head) if len(head) == _SIZE.size else (0, False)
    data = source.read(size)
    if not size or len(data) < size:
        raise EnvironmentFault(
            f"a worker process ({pid}) was ended from outside, perhaps for want of memory; "
            "run again, or with --num-proc 1"
        )
    found = pickle.loads(data)  # noqa: S301 (from a process of our own, through a pipe that only it has)
    if not failed:
        return found  # type: ignore[no-any-return]
    is_environment, message = found
    raise EnvironmentFault(message.partition(": ")[2]) if is_environment else InternalError(message)


def _widen(pipe: int) -> None:
    """Room for a result or two, so that a process need not wait until the other one takes it."""
    import fcntl

    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # the system allows less
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
