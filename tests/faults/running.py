"""Runs that are made to fail, from outside: how they are started, watched, and what they leave."""

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
GUARD = 120  # seconds; no run takes that long, whatever else the machine does
LONGEST = 30.0  # seconds that a fault may take to end a run


@dataclass(frozen=True)
class Ended:
    """How a run ended, what it said, and how long it took."""

    code: int
    out: str
    err: str
    seconds: float = 0.0


@dataclass
class Figures:
    """What is counted over many faults."""

    faults: int = 0
    slowest: float = 0.0
    ends: dict[str, int] = field(default_factory=dict)

    def add(self, what: str, seconds: float = 0.0) -> None:
        self.faults += 1
        self.slowest = max(self.slowest, seconds)
        self.ends[what] = self.ends.get(what, 0) + 1

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {what}" for what, count in sorted(self.ends.items()))
        return f"{self.faults} faults: {ends}; the slowest took {self.slowest:.1f} s"


def start(
    args: Sequence[str],
    *,
    failpoints: str = "",
    limits: Mapping[int, int] | None = None,
    starter: Sequence[str] = ("-m", "sftcli"),
    under: Sequence[str] = (),
    **options: Any,
) -> "subprocess.Popen[str]":
    """`sftcli ARGS` in a session of its own. `limits` are those of resource, `under` what runs it."""
    environment = {**os.environ, **options.pop("env", {}), "SFTCLI_FAILPOINTS": failpoints}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

    def limit() -> None:
        for kind, most in (limits or {}).items():
            resource.setrlimit(kind, (most, most))

    return subprocess.Popen(
        [*under, sys.executable, *starter, *args],
        env=environment,
        start_new_session=True,
        preexec_fn=limit if limits else None,  # noqa: PLW1509 (no other thread runs Python here)
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options},
    )


def run(args: Sequence[str], **options: Any) -> Ended:
    """`sftcli ARGS` to its end, and that of all its processes."""
    return wait(start(args, **options))


def wait(process: "subprocess.Popen[str]") -> Ended:
    began = time.monotonic()
    out, err = process.communicate(timeout=GUARD)
    ended = Ended(process.returncode, out or "", err or "", time.monotonic() - began)
    assert not left_over(process.pid), "a process outlives the run"
    return ended


def left_over(session: int) -> list[int]:
    """Processes of a session that are there still, a moment after its first one ended."""
    for _ in range(200):
        found = processes_of(session)
        if not found:
            return []
        time.sleep(0.05)
    return found


def processes_of(session: int) -> list[int]:
    """The processes of a session that are alive."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            with contextlib.suppress(OSError):
                facts = (path / "stat").read_text().rpartition(")")[2].split()
                if facts[0] not in "ZX" and int(facts[3]) == session:
                    found.append(int(path.name))
    return found


def kill_all(session: int) -> None:
    """SIGKILL to every process of a session at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)


def here(*args: str) -> Ended:
    """`sftcli ARGS` in this process, which saves its start."""
    from sftcli.cli import _run

    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["sftcli", *args]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _run()
    finally:
        sys.argv = argv
    return Ended(code, out.getvalue(), err.getvalue())


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path in it: of a dataset, all of it and nothing else."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def dataset(folder: Path) -> dict[str, bytes]:
    """The same without what a run that was stopped left in .staging."""
    return {name: raw for name, raw in tree(folder).items() if not name.startswith(".staging/")}


def records(count: int, more: str = "") -> bytes:
    """Lines of which none is like another."""
    pairs = ({"prompt": f"What is {n} + {n % 7}{more}?", "completion": f"{n + n % 7}."} for n in range(count))
    return b"".join(json.dumps(pair).encode() + b"\n" for pair in pairs)


def say_incomplete(out: Path) -> bool:
    """Whether inspect, stats and verify all refuse the folder as one that is not whole."""
    said = [here("inspect", str(out), "--row", "0"), here("stats", str(out)), here("verify", str(out))]
    return all(ended.code == 3 and "incomplete" in ended.err for ended in said)


def is_whole(out: Path) -> bool:
    return here("verify", str(out), "--quiet").code == 0


@dataclass(frozen=True)
class Job:
    """A run to be disturbed. `wanted` is what it makes; `old` is what may be in its folder before."""

    args: tuple[str, ...]
    wanted: dict[str, bytes] = field(repr=False)
    old: Path

    @classmethod
    def make(cls, folder: Path, count: int = 60, splits: int = 3, processes: int = 1) -> "Job":
        """A job on `count` records in `folder`, and an old dataset of other records and files."""
        folder.mkdir(parents=True, exist_ok=True)
        source, other = folder / "in.jsonl", folder / "old.jsonl"
        raw = records(count)
        source.write_bytes(raw)
        other.write_bytes(records(20, " now"))
        size = -(-len(raw) // splits)
        common = ("prepare", "-t", "demo", "--template", "plain", "--quiet")
        args = (*common, str(source), "--split-size", str(size), "--num-proc", str(processes))
        made = [
            run([*args, "-o", str(folder / "fresh")]),
            run([*common, str(other), "--format", "arrow", "-o", str(folder / "old")]),
        ]
        assert [(one.code, one.err) for one in made] == [(0, "")] * 2, made
        return cls(args, tree(folder / "fresh"), folder / "old")

    def out(self, folder: Path, over_old: bool) -> list[str]:
        """The arguments of a run into a folder, new or with the old dataset in it."""
        if folder.exists():
            shutil.rmtree(folder)
        if over_old:
            shutil.copytree(self.old, folder)
        return [*self.args, *["--overwrite"] * over_old, "-o", str(folder)]

    def state(self, out: Path, over_old: bool) -> str:
        """What is in the folder: `old`, `new`, `incomplete` or `nothing`, and never what is between."""
        if not out.exists():
            return "nothing"
        if not (out / "manifest.json").exists():
            assert say_incomplete(out), "no manifest, and it is not called incomplete"
            return "incomplete"
        there = dataset(out)
        if there == self.wanted:
            return "new"
        assert over_old, "a manifest of something else"
        assert there == tree(self.old), "neither the old dataset nor the new one"
        return "old"

    def goes_on(self, args: Sequence[str], out: Path) -> None:
        """The same command again comes to what it would have without a fault, and leaves nothing."""
        ended = run(args)
        if "--overwrite" not in args and ended.code == 2:
            assert "already holds a dataset" in ended.err, ended
        else:
            assert (ended.code, ended.err) == (0, ""), ended
        assert tree(out) == self.wanted
        assert not (out / ".staging").exists()


def eventually(happened: Callable[[], bool], process: "subprocess.Popen[str]") -> bool:
    """Wait until something happened; False where the run ended before."""
    until = time.monotonic() + GUARD
    while not happened():
        if process.poll() is not None:
            return False
        assert time.monotonic() < until, "it never happens"
        time.sleep(0.002)
    return True


@contextlib.contextmanager
def stopped(session: int) -> Iterator[None]:
    """All processes of a run stand still."""
    os.killpg(session, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(session, signal.SIGCONT)
