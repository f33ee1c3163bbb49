"""SIGKILL at every step of a run, and at random moments; the same command then comes to the same bytes."""

import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from running import Figures, Job, kill_all, processes_of, run, start, tree, wait

_SPLIT_STEPS = ("split.written", "split.done", "worker.split")


def points(job: Job, folder: Path, over_old: bool) -> dict[str, int]:
    """Every failpoint that a run passes, and how often."""
    ended = run(job.out(folder, over_old), failpoints="*=tell")
    assert ended.code == 0, ended
    found = Counter(re.findall(r"^failpoint (\S+) ", ended.err, re.MULTILINE))
    del found["record"]  # one for each record, and nothing happens there
    return dict(found)


def some(found: dict[str, int], all_of: Collection[str] = ()) -> Iterator[str]:
    """The first, a middle and the last call of each failpoint; every call of those in `all_of`."""
    for name, count in found.items():
        chosen = range(1, count + 1) if name in all_of else sorted({1, (count + 1) // 2, count})
        yield from (f"{name}@{call}" for call in chosen)


def every(found: dict[str, int]) -> Iterator[str]:
    return some(found, found)


def kill_at(point: str, job: Job, out: Path, over_old: bool, figures: Figures) -> None:
    """A run is killed at a point. What it leaves is whole or called incomplete; then it is finished."""
    args = job.out(out, over_old)
    ended = run(args, failpoints=f"{point}=kill")
    by_itself = point.startswith(_SPLIT_STEPS) and "2" in job.args[job.args.index("--num-proc") + 1]
    # A worker that is killed is replaced; two in turn end the run.
    assert ended.code in ((0, 3) if by_itself else (-signal.SIGKILL,)), (point, ended)
    state = job.state(out, over_old)
    assert ended.code != 0 or state == "new"
    if point.startswith("commit.done"):
        assert state == "new"
    job.goes_on(args, out)
    figures.add(f"left {state}", ended.seconds)


def kill_at_random(job: Job, folder: Path, kills: int, seed: int, figures: Figures) -> int:
    """Runs that are killed again and again until one comes to its end; how many came to it."""
    chance, finished = random.Random(seed), 0
    out, took = folder / "out", 1.0
    while figures.faults < kills:
        over_old = chance.random() < 0.5
        args = job.out(out, over_old)
        while True:
            process, began = start(args), time.monotonic()
            time.sleep(chance.uniform(0, took))
            what = chance.choice(["all", "the first", "a worker"])
            is_dead = process.poll() is not None or not _kill(what, process.pid, chance)
            ended = wait(process)
            if is_dead or (what == "a worker" and ended.code == 0):
                assert ended.code == 0 or "already holds" in ended.err, ended
                took = 0.7 * took + 0.3 * (time.monotonic() - began)
            if not is_dead:
                figures.add(f"killed {what}", ended.seconds)
            state = job.state(out, over_old)
            if ended.code in (0, 2):
                assert state == "new"
                break
        assert tree(out) == job.wanted
        finished += 1
        shutil.rmtree(out)
    return finished


def _kill(what: str, pid: int, chance: random.Random) -> bool:
    """Whether there was somebody to kill."""
    if what == "all":
        kill_all(pid)
        return True
    if what == "the first":
        os.kill(pid, signal.SIGKILL)
        return True
    workers = [number for number in processes_of(pid) if number != pid]
    if not workers:
        return False
    try:
        os.kill(chance.choice(workers), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
