"""Work on many items in several processes, the results in the items' order.

A process takes the next item as soon as it is free, but none that lies far ahead of the result that
is given next. So memory is bounded, and the order is that of one process. A process that dies is
noticed at once, and another one does its item again.
"""

import os
import pickle
import selectors
import signal
import struct
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Generic, TypeVar

from sftcli.errors import EnvironmentFault, InternalError

Item = TypeVar("Item")
Result = TypeVar("Result")
_NUMBER = struct.Struct("<I")
_HEAD = struct.Struct("<IQB")  # of what a process sends: the item's number, how many bytes follow, and
_BEGUN, _DONE, _FAILED = range(3)  # what they say
_AHEAD = 8  # items a process that may be begun before the next result is there
_PIPE_BYTES = 1 << 20
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ENDED = "ended from outside, perhaps for want of memory; run again, or with --num-proc 1"


def in_order(
    task: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    name: Callable[[Item], str] = str,
) -> Generator[Result, None, None]:
    """`task` of each item; this process is one of the `workers`.

    Raises what `task` raises where that is an EnvironmentFault, and one of its own, with the `name` of
    the item, where a process was killed and the one that did its item again was too. To stop early,
    close the iterator.
    """
    workers = min(workers, len(items))
    if workers < 2 or not hasattr(os, "fork"):
        yield from map(task, items)
        return
    queue = _Queue()
    others = _Others(task, items, queue, name)
    try:
        ahead = _AHEAD * workers
        for number in range(min(ahead, len(items))):
            queue.put(number)
        for _ in range(1, workers):
            others.begin()
        ready: dict[int, Result] = {}
        for index in range(len(items)):
            while index not in ready:
                found = (
                    others.received(wait=0) or _own(task, items, queue, others, index) or others.received()
                )
                # What may have been lost with a process is done again, and may come twice.
                ready.update((number, result) for number, result in found.items() if number >= index)
            yield ready.pop(index)
            if index + ahead < len(items):
                queue.put(index + ahead)
    finally:
        queue.close()
        others.end()


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

    def numbers(self, first: Iterable[int]) -> Iterator[int]:
        """`first`, and the numbers that this process gets until the one that puts them has ended."""
        os.close(self.sink)
        yield from first
        with suppress(EOFError), selectors.DefaultSelector() as selector:
            selector.register(self.source, selectors.EVENT_READ)
            while True:
                selector.select()
                number = self.take()
                if number is not None:
                    yield number

    def close(self) -> None:
        os.close(self.source)
        os.close(self.sink)


@dataclass
class _Other:
    """Another process: where its results can be read, and the item that it works on."""

    pid: int
    source: BinaryIO
    item: int | None = None


class _Others(Generic[Item, Result]):
    """The processes beside the first one."""

    def __init__(
        self,
        task: Callable[[Item], Result],
        items: Sequence[Item],
        queue: _Queue,
        name: Callable[[Item], str],
    ) -> None:
        self._task, self._items, self._queue, self._name = task, items, queue, name
        self._there: list[_Other] = []
        self._killed: Counter[int | None] = Counter()  # how many over an item, or over none that is known
        self._selector = selectors.DefaultSelector()

    def begin(self, first: Iterable[int] = ()) -> None:
        """Start a process that works on the items `first`, and then on those of the queue."""
        with _uninterrupted():  # or a process that has just begun would not be known, and left behind
            pid, source = _begin(self._task, self._items, self._queue, first)
            self._there.append(_Other(pid, source))
            self._selector.register(source, selectors.EVENT_READ, self._there[-1])

    def received(self, wait: float | None = None) -> dict[int, Result]:
        """The results that have come; waits until a process says anything, or `wait` seconds."""
        found: dict[int, Result] = {}
        for key, _ in self._selector.select(wait):
            other: _Other = key.data
            try:
                number, said = _receive(other.source)
            except EOFError:
                self._replace(other)
                continue
            other.item = number if said is None else None
            if said is not None:
                found[number] = said[0]
        return found

    def may_have_lost(self, item: int) -> bool:
        """Whether a process may have been killed after it took an item and before it said so."""
        return self._killed[None] > 0 and all(other.item != item for other in self._there)

    def _replace(self, killed: _Other) -> None:
        """Another process in the place of one that was killed, with the same item."""
        self._end(killed)
        self._killed[killed.item] += 1
        if self._killed[killed.item] < 2:
            self.begin([] if killed.item is None else [killed.item])
        elif killed.item is None:
            raise EnvironmentFault(f"two worker processes were {_ENDED}")
        else:
            place = self._name(self._items[killed.item])
            raise EnvironmentFault(f"{place}: two worker processes in turn were {_ENDED}")

    def end(self) -> None:
        """End them all, whatever they do."""
        for other in list(self._there):
            self._end(other)
        self._selector.close()

    def _end(self, other: _Other) -> None:
        self._there.remove(other)
        self._selector.unregister(other.source)
        other.source.close()
        os.kill(other.pid, signal.SIGKILL)
        os.waitpid(other.pid, 0)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals that end the run wait until the context is left."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(
    task: Callable[[Item], Result], items: Sequence[Item], queue: _Queue, first: Iterable[int]
) -> tuple[int, BinaryIO]:
    """Start a process that works on items; its id, and where its results can be read."""
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
            for number in queue.numbers(first):
                out.write(_HEAD.pack(number, 0, _BEGUN))
                out.flush()
                out.write(_packed(task, items, number))
                out.flush()
    finally:
        os._exit(0)  # whatever happened, nothing of the first process's work is done twice


def _own(
    task: Callable[[Item], Result],
    items: Sequence[Item],
    queue: _Queue,
    others: _Others[Item, Result],
    wanted: int,
) -> dict[int, Result]:
    """The result of an item that this process works on, if one is left to begin."""
    number = queue.take()
    if number is None and others.may_have_lost(wanted):
        number = wanted
    return {} if number is None else {number: task(items[number])}


def _packed(task: Callable[[Item], Result], items: Sequence[Item], number: int) -> bytes:
    what = _DONE
    try:
        data = pickle.dumps(task(items[number]), pickle.HIGHEST_PROTOCOL)
    except BaseException as problem:  # it is raised where somebody can handle it
        what = _FAILED
        data = pickle.dumps((isinstance(problem, EnvironmentFault), f"{type(problem).__name__}: {problem}"))
    return _HEAD.pack(number, len(data), what) + data


def _receive(source: BinaryIO) -> tuple[int, tuple[Any] | None]:
    """The number of an item, and its result if it is not only begun. Raises EOFError at the end."""
    number, size, what = _HEAD.unpack(_exactly(source, _HEAD.size))
    if what == _BEGUN:
        return number, None
    found = pickle.loads(_exactly(source, size))  # noqa: S301 (from a process of our own, through its own pipe)
    if what == _DONE:
        return number, (found,)
    is_environment, message = found
    raise EnvironmentFault(message.partition(": ")[2]) if is_environment else InternalError(message)


def _exactly(source: BinaryIO, size: int) -> bytes:
    """`size` bytes; unbuffered, so that what has not been read can be waited for."""
    parts: list[bytes] = []
    while size:
        part = source.read(size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _widen(pipe: int) -> None:
    """Room for a result or two, so that a process need not wait until the other one takes it."""
    import fcntl

    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # the system allows less
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
