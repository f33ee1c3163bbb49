"""Side by side in one process: calls in order on another thread, a collector out of the way."""

import gc
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sftcli.cores import cores

_COLLECT_EVERY = 256  # blocks


class InOrder:
    """A thread that makes calls one after another, with at most `ahead` of them waiting, by their weights.

    None ahead is no thread: each call is made at once. So it is on one core as soon as a first call is
    done, which may have waited for something: threads that take turns there only hold each other up.
    Leaving the context waits for the calls that are left, or drops them where an error ends it.
    """

    def __init__(self, ahead: int) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[tuple[Future[None], int]] = deque()
        self._ahead, self._weight = ahead, 0
        self._at_once = ahead == 0
        self._one_core = cores() == 1

    def put(self, function: Callable[..., None], *args: Any, weight: int = 1) -> None:
        """Queue a call, which counts for `weight` ordinary ones. Raises what an earlier call raised."""
        if self._one_core and self._waiting and self._waiting[0][0].done():
            self._at_once = True
        if self._at_once:
            self._take_all()
            function(*args)
            return
        self._waiting.append((self._pool.submit(function, *args), weight))
        self._weight += weight
        while self._weight > self._ahead or (self._waiting and self._waiting[0][0].done()):
            self._take()

    def _take_all(self) -> None:
        while self._waiting:
            self._take()

    def _take(self) -> None:
        call, weight = self._waiting.popleft()
        self._weight -= weight
        call.result()

    def __enter__(self) -> "InOrder":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._take_all()
        finally:
            self._pool.shutdown(cancel_futures=True)


@contextmanager
def bulk_work() -> Iterator[Callable[[], None]]:
    """Garbage is collected only where what this yields is called, and there only now and then.

    To be called every block: a block makes a few hundred thousand objects and no cycles, and to look
    through them again and again took as long as all the rest of parsing and rendering.
    """
    enabled = gc.isenabled()
    calls = 0

    def collect() -> None:
        nonlocal calls
        calls += 1
        if calls % _COLLECT_EVERY == 0:
            gc.collect()

    gc.disable()
    try:
        yield collect
    finally:
        if enabled:
            gc.enable()
