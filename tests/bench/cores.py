"""How busy each processor is while a command runs, from what the kernel counts."""

import os
import threading
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

INTERVAL = 0.2  # seconds between two looks; the kernel counts in hundredths
BARS = " ▁▂▃▄▅▆▇█"
WIDTH = 60  # characters of one line of bars
STAT = Path("/proc/stat")

Times = dict[int, tuple[int, int]]  # by processor: what it worked, and all that went by


class CoreUse(threading.Thread):
    """Collects the share of each interval that each processor worked, whoever for. Linux; else nothing."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.shares: dict[int, list[float]] = {}
        self._done = threading.Event()

    def run(self) -> None:
        before = core_times()
        while before and not self._done.wait(INTERVAL):
            now = core_times()
            for core, share in shares(before, now).items():
                self.shares.setdefault(core, []).append(share)
            before = now

    def stop(self) -> None:
        self._done.set()
        self.join()


def core_times() -> Times:
    """The counters of the processors that this process may use."""
    return times_in(STAT.read_text(), os.sched_getaffinity(0)) if STAT.exists() else {}


def times_in(stat: str, wanted: set[int]) -> Times:
    """Read the lines `cpuN user nice system idle iowait irq softirq steal guest guest_nice`."""
    found: Times = {}
    for line in stat.splitlines():
        name, *counts = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in wanted:
            user, nice, system, idle, iowait, irq, softirq, steal = map(int, counts[:8])
            worked = user + nice + system + irq + softirq
            found[int(name[3:])] = worked, worked + idle + iowait + steal
    return found


def shares(before: Times, now: Times) -> dict[int, float]:
    """How much of the time between two looks each processor worked, from 0 to 1."""
    return {
        # The kernel may count iowait back.
        core: min(1.0, (now[core][0] - worked) / max(1, now[core][1] - passed))
        for core, (worked, passed) in before.items()
        if core in now
    }


def bars(shares: Sequence[float], width: int = WIDTH) -> str:
    """A character for each share, or for the mean of several where there are more than `width`."""
    count = min(width, len(shares))
    edges = [index * len(shares) // count for index in range(count + 1)] if count else []
    return "".join(BARS[round(mean(shares[first:last]) * (len(BARS) - 1))] for first, last in pairwise(edges))


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
