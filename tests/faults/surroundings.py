"""What is around a run and is no part of what was asked for: no byte of the dataset hangs on it."""

import shutil
from pathlib import Path

from running import Ended, Figures, Job, run, tree

_PLAIN = {
    "another hash seed": {"PYTHONHASHSEED": "1"},
    "yet another hash seed": {"PYTHONHASHSEED": "4294967295"},
    "the C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "a Turkish locale": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"},
    "a time zone far ahead": {"TZ": "Pacific/Kiritimati"},
    "a time zone far behind": {"TZ": "Etc/GMT+12"},
    "no colours, a narrow terminal": {"NO_COLOR": "1", "COLUMNS": "20"},
    "one thread": {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1"},
    "another home": {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"},
}
CLOCKS = ("1999-12-31 23:59:59", "2038-01-19 03:14:07", "2100-02-28 12:00:00")


def faketime() -> str | None:
    return shutil.which("faketime")


def changed(job: Job, folder: Path, figures: Figures, only: int | None = None) -> None:
    """The same run in each of these; `only` takes the first so many."""
    for name, variables in list(_PLAIN.items())[:only]:
        _same(name, job, folder / "out", figures, env=variables)
    for clock in CLOCKS[:only] if faketime() else ():
        _same(f"the clock at {clock}", job, folder / "out", figures, under=("faketime", clock))
    for workers in (2, 8):
        _same(f"{workers} processes", job, folder / "out", figures, processes=workers)
    _same("another umask", job, folder / "out", figures, umask=0o077)
    _same("another folder to stand in", job, folder / "out", figures, cwd="/")


def _same(name: str, job: Job, out: Path, figures: Figures, processes: int = 1, **options: object) -> None:
    args = job.out(out, over_old=False)
    args[args.index("--num-proc") + 1] = str(processes)
    ended: Ended = run(args, **options)
    assert (ended.code, ended.err) == (0, ""), (name, ended)
    assert tree(out) == job.wanted, name
    figures.add("the same bytes", ended.seconds)
