"""Side by side in one process: how many threads, calls in order on another, a collector out of the way."""

import gc
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

_COLLECT_EVERY = 256  # blocks


def cores() -> int:
    """How many threads of this process can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class InOrder:
    """A thread that makes calls one after another, with at most `ahead` of them waiting.

    None ahead is no thread: each call is made at once. Leaving the context waits for the calls that are
    left, or drops them where an error ends it.
    """

    def __init__(self, ahead: int) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()
        self._ahead = ahead

    def put(self, function: Callable[..., None], *args: Any) -> None:
        """Queue a call. Raises what an earlier call raised."""
        if not self._ahead:
            function(*args)
            return
        self._waiting.append(self._pool.submit(function, *args))
        while self._waiting and (len(self._waiting) > self._ahead or self._waiting[0].done()):
            self._waiting.popleft().result()

    def __enter__(self) -> "InOrder":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                while self._waiting:
                    self._waiting.popleft().result()
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
