"""The faults at length: `python tests/faults/run.py [NAME...]` prints the figures for docs/reliability.md.

Some twenty minutes on two cores. What needs root (power cuts, a full disk) is left out without it.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import disk
import inputs
import kills
import power
import stops
import surroundings
import together
from running import ROOT, Figures, Job, records

KILLS, SIGNALS = 500, 150


class Bench:
    """Where all of it is done, and the jobs that are disturbed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        self.small = Job.make(folder / "small")
        self.by_two = Job.make(folder / "two", processes=2)
        self.longer = Job.make(folder / "longer", count=3_000, splits=4, processes=2)


def kill_points(bench: Bench, figures: Figures) -> None:
    for job in (bench.small, bench.by_two):
        for over_old in (False, True):
            for point in kills.every(kills.points(job, bench.out, over_old)):
                kills.kill_at(point, job, bench.out, over_old, figures)


def random_kills(bench: Bench, figures: Figures) -> None:
    kills.kill_at_random(bench.longer, bench.folder, KILLS, seed=1, figures=figures)


def power_cuts(bench: Bench, figures: Figures) -> None:
    for over_old in (False, True):
        for point in ("", *kills.every(kills.points(bench.small, bench.out, over_old))):
            for how in power.CUTS:
                power.cut_at(point, how, bench.small, bench.folder / "disk", over_old, figures)


def mutants(bench: Bench, figures: Figures) -> None:
    for mutant in power.MUTANTS:
        for over_old in (False, True):
            try:
                power.cut_at("", "at once", bench.small, bench.folder / "disk", over_old, Figures(), mutant)
                figures.add("not noticed")
            except AssertionError:
                figures.add("noticed")


def full_disk(bench: Bench, figures: Figures) -> None:
    whole = sum(map(len, bench.small.wanted.values()))
    for over_old in (False, True):
        for size in disk.sizes(whole + 110_000, 60):
            disk.full_at(size, bench.small, bench.folder / "tmpfs", over_old, figures)


def too_long(bench: Bench, figures: Figures) -> None:
    largest = max(map(len, bench.small.wanted.values()))
    for over_old in (False, True):
        for size in (*range(0, 5_000, 125), *range(5_000, largest + 5_000, 5_000)):
            disk.too_long_at(size, bench.small, bench.out, over_old, figures)


def failing_calls(bench: Bench, figures: Figures) -> None:
    for over_old in (False, True):
        for point in kills.every(kills.points(bench.small, bench.out, over_old)):
            for error in disk.ERRORS:
                disk.fails_at(point, error, bench.small, bench.out, over_old, figures)


def signals(bench: Bench, figures: Figures) -> None:
    chance = random.Random(1)
    for number in (*stops.CODES,) * (SIGNALS // len(stops.CODES)):
        stops.stop_at_random(bench.longer, bench.out, number, chance, 1.0, figures)


def cut_inputs(bench: Bench, figures: Figures) -> None:
    plain = records(30_000)
    for kind, pack in inputs.PACKED.items():
        whole = pack(plain)
        inputs.cut_at(range(997, len(whole), 997), kind, whole, bench.folder, figures)


def changed_inputs(bench: Bench, figures: Figures) -> None:
    for change in inputs.CHANGES:
        for which in ("read", "unread"):
            inputs.change_during(change, which, bench.folder / f"{change}-{which}", figures)


def at_once(bench: Bench, figures: Figures) -> None:
    for count in (*range(2, 9),) * 3:
        together.into_one(count, bench.small if count % 2 else bench.longer, bench.out, figures)


def around(bench: Bench, figures: Figures) -> None:
    surroundings.changed(bench.small, bench.folder, figures)


ALL: dict[str, tuple[str, Callable[[Bench, Figures], None], Callable[[], str | None] | None]] = {
    "points": ("SIGKILL at every step, one process and two", kill_points, None),
    "kills": ("SIGKILL at random moments", random_kills, None),
    "power": ("power cut on ext4 at every step", power_cuts, power.why_not),
    "mutants": ("the same with a sync left out", mutants, power.why_not),
    "full": ("a disk that is full, in steps of 4 KiB", full_disk, disk.why_not),
    "long": ("a file that may not grow (EFBIG)", too_long, None),
    "calls": ("EIO and ENOSPC at every step", failing_calls, None),
    "signals": ("SIGINT, SIGTERM, SIGHUP at random moments", signals, None),
    "cuts": ("compressed input cut at every 997th byte", cut_inputs, None),
    "changes": ("an input that changes while it is read", changed_inputs, None),
    "together": ("two to eight runs at once into one folder", at_once, None),
    "around": ("clock, zone, locale, hash seed, umask, 1, 2 and 8 processes", around, None),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*ALL, []], metavar="NAME", help=", ".join(ALL))
    names = parser.parse_args().names or list(ALL)
    sys.path.insert(0, str(ROOT))
    folder = Path(tempfile.mkdtemp(prefix="sftcli-faults-"))
    print("| fault | times | what came of it | slowest |\n|---|---:|---|---:|", flush=True)
    bench = Bench(folder)
    for name in names:
        title, inject, why_not = ALL[name]
        reason = why_not() if why_not else None
        if reason is not None:
            print(f"| {title} | | left out: {reason} | |", flush=True)
            continue
        figures, began = Figures(), time.monotonic()
        inject(bench, figures)
        ends = ", ".join(f"{count:,} {end}" for end, count in sorted(figures.ends.items()))
        print(f"| {title} | {figures.faults:,} | {ends} | {figures.slowest:.1f} s |", flush=True)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
