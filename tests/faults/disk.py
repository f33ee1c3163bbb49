"""A disk that is full, a file that grows too long, a device that fails: one message, nothing harmed."""

import os
import re
import resource
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from running import Ended, Figures, Job, run, tree

ERRORS = {"EIO": "Input/output error", "ENOSPC": "No space left on device"}
_PAGE = 4096


def why_not() -> str | None:
    """Why no small file system can be mounted here."""
    return None if os.geteuid() == 0 else "needs root, to mount a small tmpfs"


@contextmanager
def small(root: Path, size: int) -> Iterator[None]:
    """A file system of `size` bytes at `root`."""
    root.mkdir(parents=True, exist_ok=True)
    _call("mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(root))
    try:
        yield
    finally:
        _call("umount", str(root))


def full_at(size: int, job: Job, root: Path, over_old: bool, figures: Figures) -> None:
    """A run on a file system of that size; where it is too small, the run goes on when it has grown."""
    enough = 64 << 20
    with small(root, enough):
        args = job.out(root / "out", over_old)
        used = os.statvfs(root)
        taken = (used.f_blocks - used.f_bfree) * used.f_frsize
        _call("mount", "-o", f"remount,size={max(taken, _PAGE) + size}", str(root))
        ended = run(args)
        if ended.code != 0:
            refused(ended, "No space left on device")
        state = _state(job, root / "out", over_old)
        assert (state == "new") == (ended.code == 0)
        _call("mount", "-o", f"remount,size={enough}", str(root))
        if ended.code:
            job.goes_on(args, root / "out")
        assert tree(root / "out") == job.wanted
    figures.add("fitted" if ended.code == 0 else f"left {state}", ended.seconds)


def too_long_at(size: int, job: Job, out: Path, over_old: bool, figures: Figures) -> None:
    """A run in which no file may grow beyond `size` bytes."""
    args = job.out(out, over_old)
    ended = run(args, limits={resource.RLIMIT_FSIZE: size})
    if ended.code != 0:
        refused(ended, "File too large")
    state = _state(job, out, over_old)
    assert (state == "new") == (ended.code == 0)
    if ended.code:
        job.goes_on(args, out)
    figures.add("fitted" if ended.code == 0 else f"left {state}", ended.seconds)


def fails_at(point: str, error: str, job: Job, out: Path, over_old: bool, figures: Figures) -> None:
    """A call of the commit, or the sync of a file, fails once. It is not tried again."""
    args = job.out(out, over_old)
    ended = run(args, failpoints=f"*=tell,{point}={error}")
    synced = Counter(re.findall(r"^failpoint file\.sync (\S+)$", ended.err, re.MULTILINE))
    told = Ended(ended.code, ended.out, re.sub(r"^failpoint .*\n", "", ended.err, flags=re.MULTILINE))
    if point.startswith("commit.done"):  # what is in its place stays there
        assert _state(job, out, over_old) == "new"
    else:
        refused(told, ERRORS[error])
        left = _state(job, out, over_old)
        assert left == "old" if over_old else left in ("incomplete", "nothing")
        if point.startswith("file.sync"):
            shards = {name: count for name, count in synced.items() if name.endswith(".parquet")}
            assert set(shards.values()) <= {1}, shards
    if told.code:
        job.goes_on(args, out)
    figures.add(f"{error}, exit {told.code}", ended.seconds)


def refused(ended: Ended, reason: str) -> None:
    """One message, with the reason, and how to go on where there is work to go on with."""
    assert ended.code == 3, ended
    assert ended.out == ""
    told = rf"error: [^\n]*{re.escape(reason)}(; resume with: sftcli prepare [^\n]*)?\n"
    assert re.fullmatch(told, ended.err), ended


def sizes(most: int, count: int) -> Iterable[int]:
    """Sizes up to `most`, in about as many steps of whole pages."""
    step = max(_PAGE, most // count // _PAGE * _PAGE)
    return range(0, most + step, step)


def _state(job: Job, out: Path, over_old: bool) -> str:
    return job.state(out, over_old) if out.exists() and any(out.iterdir()) else "nothing"


def _call(*args: str) -> None:
    subprocess.run(args, check=True, capture_output=True)
