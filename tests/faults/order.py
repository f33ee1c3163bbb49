"""In which order a run moves files and brings them to the disk, as strace sees it."""

import random
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
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


def broken(found: Sequence[str], old: Collection[str], new: Collection[str]) -> list[str]:
    """What a disk could keep of these steps that is no dataset and says it is; empty where all is well.

    The worst disk that there is: at any moment the power goes, and of all moves into folders that were not
    synced since, any may have been kept and any lost; of a file that was not synced, nothing. `old` and `new`
    are the files of the datasets, their manifests among them.
    """
    problems, chance = set(), random.Random(5)
    for end in range(len(found) + 1):
        moves, synced = _kept(found[:end])
        for _ in range(60):
            there = {source for source, is_kept in moves.items() if is_kept or chance.random() < 0.5}
            problems |= set(_problems(there, synced, old, new, is_over=end == len(found)))
    return sorted(problems)


def _kept(found: Sequence[str]) -> tuple[dict[str, bool], set[str]]:
    """Of each file that was moved whether it is kept there for sure; and the files that were synced."""
    moves: dict[str, str | None] = {}
    synced = set()
    for step in found:
        verb, _, rest = step.partition(" ")
        if verb == "sync":
            synced.add(rest)
            moves = {source: None if folder == rest else folder for source, folder in moves.items()}
        else:
            source, _, target = rest.partition(" -> ")
            moves[source] = target.rpartition("/")[0] or "OUT"
    return {source: folder is None for source, folder in moves.items()}, synced


def _problems(
    there: Collection[str], synced: Collection[str], old: Collection[str], new: Collection[str], is_over: bool
) -> Iterator[str]:
    """`there` are the moves that the disk kept, by where the files came from."""
    staged = {name: f".staging/new/{name}" for name in new}
    placed = {name for name, source in staged.items() if source in there}
    if is_over and "manifest.json" not in placed:
        yield "the run is over, and its manifest is gone"
    if "manifest.json" in placed:
        yield from (f"new {name} is gone" for name in new if name not in placed)
        yield from (f"new {name} is not what was written" for name in new if staged[name] not in synced)
    elif "manifest.json" not in there:
        yield from (f"old {name} is gone" for name in old if name in there)
    yield from (
        f"{name} of the old dataset is replaced" for name in placed if name in old and name not in there
    )
