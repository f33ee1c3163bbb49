"""Faults, injected into runs of their own: short versions of what run.py does at length."""

import json
import os
import random
import re
import resource
import signal
import subprocess
from pathlib import Path

import disk
import inputs
import kills
import order
import power
import pytest
import stops
import surroundings
import together
from running import LONGEST, Figures, Job, eventually, records, run, start, tree, wait


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Three splits of twenty records, done by one process."""
    return Job.make(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Four splits of 750 records, done by two processes."""
    return Job.make(tmp_path_factory.mktemp("two"), count=3000, splits=4, processes=2)


@pytest.fixture
def figures() -> Figures:
    return Figures()


@pytest.mark.parametrize("over_old", [False, True])
def test_a_kill_at_any_point(over_old: bool, small: Job, tmp_path: Path, figures: Figures) -> None:
    found = kills.points(small, tmp_path / "out", over_old)
    assert {"commit.synced", "commit.done", "split.done", "file.sync"} < set(found)
    # Eight or seven files are moved; over the old dataset, its six or so come first.
    for point in kills.some(found, ("file.moved",) if over_old else ()):
        kills.kill_at(point, small, tmp_path / "out", over_old, figures)
    assert set(figures.ends) == {"left incomplete", "left new"} | ({"left old"} if over_old else set())
    assert figures.slowest < LONGEST


@pytest.mark.parametrize("point", ["worker.split@1", "worker.split@2", "split.written@1", "split.done@2"])
def test_a_worker_that_is_killed_at_a_point(
    point: str, by_two: Job, tmp_path: Path, figures: Figures
) -> None:
    """Each of them, and those that take their places: some runs come to their end, all do in the second."""
    kills.kill_at(point, by_two, tmp_path / "out", True, figures)


def test_kills_at_random(by_two: Job, tmp_path: Path, figures: Figures) -> None:
    kills.kill_at_random(by_two, tmp_path, 25, seed=7, figures=figures)
    assert figures.faults >= 25
    assert set(figures.ends) == {"killed a worker", "killed all", "killed the first"}
    assert figures.slowest < LONGEST


def test_a_worker_of_a_killed_run_does_not_write_beside_the_next(by_two: Job, tmp_path: Path) -> None:
    """The first process is killed while the others stand still: they live on, and hold its place."""
    out = tmp_path / "out"
    args = by_two.out(out, over_old=False)
    process = start(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert eventually(lambda: bool(list(out.glob(".staging/done/*.json"))), process)
    os.killpg(process.pid, signal.SIGSTOP)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    again = start(args)
    with pytest.raises(subprocess.TimeoutExpired):
        again.communicate(timeout=2)
    os.killpg(process.pid, signal.SIGCONT)
    assert wait(again).code == 0
    assert tree(out) == by_two.wanted


@pytest.mark.skipif(power.why_not() is not None, reason=power.why_not() or "")
@pytest.mark.parametrize("how", power.CUTS)
def test_a_power_cut(how: str, small: Job, tmp_path: Path, figures: Figures) -> None:
    points = ("split.done@2", "commit.synced@1", "commit.old_moved@1", "file.moved@9", "commit.new_moved@1")
    for point in ("", *points, "commit.done@1"):
        power.cut_at(point, how, small, tmp_path, True, figures)
    power.cut_at("", how, small, tmp_path, False, figures)


@pytest.mark.skipif(power.why_not() is not None, reason=power.why_not() or "")
@pytest.mark.parametrize("mutant", power.MUTANTS)
def test_a_power_cut_is_noticed_where_a_step_is_left_out(
    mutant: str, small: Job, tmp_path: Path, figures: Figures
) -> None:
    with pytest.raises(AssertionError, match="the run ended well, and the dataset is not whole"):
        power.cut_at("", "at once", small, tmp_path, False, figures, mutant)


@pytest.mark.skipif(disk.why_not() is not None, reason=disk.why_not() or "")
def test_a_full_disk(small: Job, tmp_path: Path, figures: Figures) -> None:
    whole = sum(map(len, small.wanted.values()))
    for size in disk.sizes(whole + 100_000, 8):
        disk.full_at(size, small, tmp_path / "disk", True, figures)
    assert figures.ends["fitted"] < figures.faults - 4


def test_a_file_that_grows_too_long(small: Job, tmp_path: Path, figures: Figures) -> None:
    largest = max(map(len, small.wanted.values()))
    for size in (0, 40, 400, 1_500, 4_000, largest - 1, largest):
        disk.too_long_at(size, small, tmp_path / "out", True, figures)
    assert figures.ends == {"left old": 6, "fitted": 1}


@pytest.mark.parametrize("error", disk.ERRORS)
@pytest.mark.parametrize("over_old", [False, True])
def test_a_call_that_fails(error: str, over_old: bool, small: Job, tmp_path: Path, figures: Figures) -> None:
    for point in (
        "file.sync@1",
        "file.sync@7",
        "file.sync@12",
        "file.move@3",
        "file.moved@6",
        "split.done@2",
    ):
        disk.fails_at(point, error, small, tmp_path / "out", over_old, figures)
    assert figures.ends == {f"{error}, exit 3": 6}


def test_signals_at_random(by_two: Job, tmp_path: Path, figures: Figures) -> None:
    chance = random.Random(3)
    for number in (*stops.CODES,) * 4:
        stops.stop_at_random(by_two, tmp_path / "out", number, chance, 1.0, figures)
    assert figures.slowest < stops.LONGEST


def test_a_signal_does_not_wait_for_the_hash_of_a_huge_input(tmp_path: Path) -> None:
    first, pipe, huge, out = (tmp_path / name for name in ("a.jsonl", "pipe", "huge.jsonl.gz", "out"))
    first.write_bytes(records(5))
    os.mkfifo(pipe)
    huge.touch()
    os.truncate(huge, 200 << 30)  # no block of it on the disk, and minutes to hash
    inputs = map(str, (first, pipe, huge))
    process = start(["prepare", *inputs, "-t", "demo", "--template", "plain", "-o", str(out)])
    with pipe.open("wb"):  # where the run waits
        process.send_signal(signal.SIGTERM)
    ended = wait(process)
    assert ended.code == 143
    assert re.fullmatch(r"terminated; resume with: sftcli prepare .*\n", ended.err)
    assert ended.seconds < stops.LONGEST


@pytest.mark.parametrize("kind", inputs.PACKED)
def test_a_compressed_input_that_is_cut(kind: str, tmp_path: Path, figures: Figures) -> None:
    whole = inputs.PACKED[kind](records(2_000))
    inputs.cut_at(range(len(whole) // 20, len(whole), len(whole) // 20), kind, whole, tmp_path, figures)
    inputs.cut_at([1, len(whole) - 1], kind, whole, tmp_path, figures)
    assert figures.faults >= 20


@pytest.mark.parametrize("which", ["read", "unread"])
@pytest.mark.parametrize("change", inputs.CHANGES)
def test_an_input_that_changes(change: str, which: str, tmp_path: Path, figures: Figures) -> None:
    inputs.change_during(change, which, tmp_path, figures)


@pytest.mark.parametrize("count", [2, 8])
def test_runs_into_one_folder(count: int, by_two: Job, tmp_path: Path, figures: Figures) -> None:
    together.into_one(count, by_two, tmp_path / "out", figures)
    assert figures.ends["won"] == 1


def test_runs_into_folders_of_their_own(small: Job, tmp_path: Path, figures: Figures) -> None:
    together.into_many(3, small, tmp_path, figures)


def test_what_is_around_a_run_changes_no_byte(small: Job, tmp_path: Path, figures: Figures) -> None:
    surroundings.changed(small, tmp_path, figures)
    assert figures.faults >= 13


def test_a_worker_that_gets_no_memory(tmp_path: Path) -> None:
    """A record that takes more than there is: named, or left out where that is asked for."""
    line = '{"prompt": "%s", "completion": "b"}\n' % ("a b " * 12_000_000)
    file, out = tmp_path / "in.jsonl", tmp_path / "out"
    file.write_bytes(records(30) + line.encode() + records(30))
    args = ["prepare", str(file), "-t", "demo", "--template", "plain", "--quiet", "--split-size", "1kB"]
    args += ["--num-proc", "2", "-o", str(out)]
    limits = {resource.RLIMIT_AS: 2 << 30}  # of addresses, of which each thread takes some
    ended = run(args, limits=limits)
    assert ended.code == 3
    told = re.escape(f"error: {file}:31: the processes that read this record were ")
    cure = "; take it out, or pass --on-error skip or --on-error quarantine"
    assert re.match(told + r"(out of memory|killed by signal \d+)", ended.err.splitlines()[-1]), ended
    assert cure in ended.err.splitlines()[-1]
    left_out = run([*args, "--on-error", "quarantine", "--no-resume"], limits=limits)
    assert left_out.code == 0, left_out
    assert (out / "rejects.jsonl").read_bytes().startswith(f'{{"file": "{file}", "line": 31, '.encode())


@pytest.mark.skipif(order.why_not() is not None, reason=order.why_not() or "")
def test_the_order_of_what_reaches_the_disk(small: Job, tmp_path: Path) -> None:
    out = tmp_path / "out"
    try:
        steps = order.steps(small, out, over_old=True)
    except PermissionError as problem:
        pytest.skip(str(problem))
    manifests = map(json.loads, ((small.old / "manifest.json").read_bytes(), small.wanted["manifest.json"]))
    old, new = (list(manifest["files"]) for manifest in manifests)
    staged, kept = ".staging/new", ".staging/old"
    assert steps[steps.index("move .staging/done/00002.part -> .staging/done/00002.json") + 1 :] == [
        "move .staging/run.part -> .staging/run.json",
        *sorted(f"sync {staged}/{name}" for name in small.wanted),  # by many threads, in any order
        *(f"sync {folder}" for folder in (f"{staged}/tokenizer", staged, ".staging", "OUT")),
        *["sync above"] * len(out.parents),
        f"move manifest.json -> {kept}/manifest.json",
        *(f"sync {folder}" for folder in ("OUT", kept)),
        *(f"move {name} -> {kept}/{name}" for name in old),
        *(f"sync {folder}" for folder in ("OUT", kept, f"{kept}/tokenizer")),
        *(f"move {staged}/{name} -> {name}" for name in new),
        *(f"sync {folder}" for folder in ("OUT", staged, "tokenizer")),
        f"move {staged}/manifest.json -> manifest.json",
        "sync OUT",
    ]
    # Whatever the disk makes of it, no manifest outlasts one of its files; and no sync less would do.
    both = ["manifest.json", *old], ["manifest.json", *new]
    assert order.broken(steps, *both) == []
    needed = [
        step
        for number, step in enumerate(steps)
        if step.startswith("sync ") and order.broken([*steps[:number], *steps[number + 1 :]], *both)
    ]
    assert needed == [
        *sorted(f"sync {staged}/{name}" for name in small.wanted),
        *(f"sync {kept}", f"sync {kept}", f"sync {kept}/tokenizer"),
        *("sync OUT", "sync tokenizer", "sync OUT"),
    ]
