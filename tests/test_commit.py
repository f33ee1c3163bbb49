"""One writer at a time, all or nothing, and nothing lost of what comes through a pipe."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sftcli import commit
from sftcli.config import Config
from sftcli.errors import EnvironmentFault, OutputError
from sftcli.pipeline import prepare

OLD = [{"prompt": f"{n} + 1 =", "completion": f"{n + 1}"} for n in range(30)]
NEW = [{"prompt": f"{n} + 2 =", "completion": f"{n + 2}"} for n in range(40)]


def write(path: Path, records: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def make(file: str, out: Path, **options: Any) -> None:
    overwrite = options.pop("overwrite", False)
    config = Config(inputs=[file], output=str(out), tokenizer="demo", template="plain", **options)
    prepare(config, overwrite=overwrite)


def tree(folder: Path) -> dict[str, bytes]:
    """All files of a dataset; what a run that was stopped left in .staging is none of it."""
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {name: raw for name, raw in files.items() if not name.startswith(".staging/")}


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    return write(tmp_path / "old.jsonl", OLD), write(tmp_path / "new.jsonl", NEW)


class Stop(BaseException):
    """Ends a run in the middle of a commit, as a kill would: nothing after it runs."""


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch, problem: BaseException) -> None:
    """Let the `step`-th move of a commit fail; with Stop, what would tidy up afterwards fails too."""
    calls = 0
    move = os.replace

    def replace(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == step:
            raise problem
        move(*args)

    monkeypatch.setattr(commit.os, "replace", replace)
    if isinstance(problem, Stop):
        monkeypatch.setattr(commit.shutil, "rmtree", lambda *_args, **_options: None)


def steps(files: tuple[str, str], out: Path) -> int:
    """How many files a run over an old dataset moves: three notes in .staging, all old ones, all new ones."""
    make(files[0], out)
    count = len(tree(out))
    make(files[1], out, overwrite=True)
    return 3 + count + len(tree(out))


def test_a_disk_that_fails_at_any_step_leaves_the_old_dataset(files: tuple[str, str], tmp_path: Path) -> None:
    for step in range(1, steps(files, tmp_path / "count") + 1):
        out = tmp_path / f"out{step}"
        make(files[0], out)
        before = tree(out)
        with pytest.MonkeyPatch.context() as patch:
            stop_at(step, patch, OSError(5, "Input/output error"))
            with pytest.raises(EnvironmentFault):
                make(files[1], out, overwrite=True)
        assert tree(out) == before


def test_a_kill_at_any_step_is_taken_back_by_the_next_run(files: tuple[str, str], tmp_path: Path) -> None:
    make(files[1], tmp_path / "fresh")
    wanted = tree(tmp_path / "fresh")
    for step in range(1, steps(files, tmp_path / "count") + 1):
        out = tmp_path / f"out{step}"
        make(files[0], out)
        before = tree(out)
        with pytest.MonkeyPatch.context() as patch:
            stop_at(step, patch, Stop())
            with pytest.raises(Stop):
                make(files[1], out, overwrite=True)
        with pytest.raises(OutputError, match="already holds a dataset"):
            make(files[1], out)
        assert tree(out) == before
        make(files[1], out, overwrite=True)
        assert tree(out) == wanted


def test_a_second_run_into_the_same_folder_is_refused(files: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with (
        commit.staged(out),
        pytest.raises(
            EnvironmentFault, match=rf"another run is writing to this folder \(process {os.getpid()} "
        ),
    ):
        make(files[0], out)
    assert not out.exists()
    make(files[0], out)


@pytest.mark.parametrize("kind", ["fifo", "descriptor"])
def test_a_pipe_is_read_whole_and_once(kind: str, tmp_path: Path) -> None:
    records = [{"prompt": f"{n:050}", "completion": "x" * 60} for n in range(20_000)]
    file = write(tmp_path / "in.jsonl", records)
    name = tmp_path / "pipe"
    if kind == "fifo":
        os.mkfifo(name)
        command = f"cat {file} > {name} & {sys.executable} -m sftcli prepare {name}"
    else:
        command = f"{sys.executable} -m sftcli prepare <(cat {file})"
    done = subprocess.run(
        ["bash", "-c", f"{command} -t demo --template plain -o {tmp_path / 'out'} --json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout)["rows"] == len(records)
    assert set(json.loads((tmp_path / "out" / "manifest.json").read_text())["inputs"][0]) == {"file"}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_leaves_nothing_behind(number: signal.Signals, code: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = subprocess.Popen(
        [sys.executable, "-m", "sftcli", "prepare", "-", "-t", "demo", "--template", "plain", "-o", str(out)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert run.stdin is not None
    assert run.stderr is not None
    run.stdin.write(b'{"prompt": "a", "completion": "b"}\n' * 100_000)  # read up to here, and then waiting
    run.stdin.flush()
    assert out.exists()
    run.send_signal(number)
    assert run.wait(timeout=30) == code
    assert run.stderr.read().strip() in (b"terminated", b"interrupted")
    run.stdin.close()
    run.stderr.close()
    assert not out.exists()
