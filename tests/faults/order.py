"""In which order a run moves files and brings them to the disk, as strace sees it."""

import re
import shutil
import tempfile
from itertools import groupby
from pathlib import Path

from running import Job, run

_CALLS = "trace=fsync,fdatasync,rename,renameat,renameat2"
_SYNC = re.compile(r"f(?:data)?sync\(\d+<(?P<path>[^>]*)>")
_AT = r"(?:AT_FDCWD(?:<[^>]*>)?, )?"
_MOVE = re.compile(rf'rename(?:at2?)?\({_AT}"(?P<source>[^"]*)", {_AT}"(?P<target>[^"]*)"')


def why_not() -> str | None:
    return None if shutil.which("strace") else "needs strace"


def steps(job: Job, out: Path, over_old: bool) -> list[str]:
    """`sync PATH` and `move PATH -> PATH` of a run, with paths below `out`; what is over it is `above`.

    Files that are synced one after another are sorted: threads do it. Raises PermissionError where strace
    may not trace.
    """
    args = job.out(out, over_old)
    with tempfile.NamedTemporaryFile("r") as trace:
        ended = run(args, under=("strace", "-f", "-y", "-qq", "-o", trace.name, "-e", _CALLS))
        if ended.code != 0:
            raise PermissionError(ended.err)
        # Of threads, a call may be seen in two parts; the second says that it ended.
        found = [_step(line, out) for line in trace.read().splitlines()]
    return _in_order([step for step in found if step is not None])


def _in_order(found: list[str]) -> list[str]:
    """Files that are synced one after another are so by many threads: sorted, as far as they go."""
    groups = groupby(found, lambda step: step.startswith("sync ") and "." in step.rpartition("/")[2])
    return [step for together, group in groups for step in (sorted(group) if together else group)]


def _step(line: str, out: Path) -> str | None:
    if found := _SYNC.search(line):
        return f"sync {_below(found['path'], out)}"
    if found := _MOVE.search(line):
        return f"move {_below(found['source'], out)} -> {_below(found['target'], out)}"
    return None


def _below(path: str, out: Path) -> str:
    if path == str(out):
        return "OUT"
    return path.removeprefix(f"{out}/") if path.startswith(f"{out}/") else "above"
