"""Several processes make what one makes, and one of them that dies costs nothing but its time."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Here, chat, jsonl, make, manifest, run_sftcli, tree

from sftcli.config import Config, load_config
from sftcli.errors import EnvironmentFault, SftcliError
from sftcli.pipeline import prepare
from sftcli.workers.count import open_pool, workers_for
from sftcli.workers.pool import Pool

RECORDS = [{"prompt": f"What is {n} + {n % 7}?", "completion": f"{n + n % 7}."} for n in range(400)]
CHATS = [chat(f"{n}?", "x " * (n % 9 + 1), "and?", f"{n}!") for n in range(150)]


@pytest.fixture(autouse=True)
def _here(own_folder: None) -> None:
    Path("pairs.jsonl").write_bytes(jsonl(*RECORDS))
    Path("chats.jsonl").write_bytes(jsonl(*CHATS))
    Path("more.jsonl.gz").write_bytes(gzip.compress(jsonl(*RECORDS[:90]), mtime=0))


def by_two(out: str, *inputs: str, count: int = 2, split_size: int = 4_000, **options: Any) -> None:
    """As `make`, by the processes of a pool."""
    options |= {"inputs": list(inputs), "output": out, "tokenizer": "demo", "split_size": split_size}
    config = load_config(None, options)
    pool = Pool(count)
    try:
        prepare(config, pool=pool)
    finally:
        pool.close()


CASES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "parquet": (["pairs.jsonl"], {"template": "plain"}),
    "arrow": (["pairs.jsonl", "more.jsonl.gz"], {"template": "chatml", "format": "arrow"}),
    "a chat template": (["chats.jsonl"], {"template": "tokenizer"}),
    "olmo": (["pairs.jsonl"], {"template": "plain", "profile": "olmo", "format": "npy"}),
    "packed, two sides": (
        ["chats.jsonl"],
        {"template": "chatml", "packing": "bfd", "max_length": 128, "val_size": "20%"},
    ),
    "shuffled": (["pairs.jsonl"], {"template": "plain", "shuffle": True, "keep": ["prompt"]}),
    "without repeats": (["pairs.jsonl", "more.jsonl.gz"], {"template": "plain", "dedup": "exact"}),
    "two sources": (
        [],
        {
            "sources": [
                {"inputs": ["pairs.jsonl"], "template": "plain", "weight": 0.5},
                {"inputs": ["chats.jsonl"], "template": "chatml", "weight": 0.5},
            ],
            "columns": ["source", "length"],
        },
    ),
    "bad records": (
        ["pairs.jsonl", "bad.jsonl"],
        {"template": "plain", "on_error": "quarantine", "select": ["C"]},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_two_processes_make_the_bytes_of_one(case: str) -> None:
    inputs, options = CASES[case]
    Path("bad.jsonl").write_bytes(jsonl({"prompt": "a"}, *RECORDS[:50], {"completion": "b"}, {}, RECORDS[0]))
    make("one", *inputs, split_size=4_000, **options)
    by_two("two", *inputs, **options)
    assert tree(Path("two")) == tree(Path("one"))
    assert len(manifest(Path("one"))["shards"]) > 2


def test_errors_are_those_of_one_process() -> None:
    Path("cut.jsonl.gz").write_bytes(gzip.compress(jsonl(*RECORDS))[:900])
    Path("bad.jsonl").write_bytes(jsonl(*RECORDS[:100], {"prompt": "a"}, *RECORDS[100:], {}, {}))
    for others in (["cut.jsonl.gz", "bad.jsonl"], ["bad.jsonl", "cut.jsonl.gz"]):
        told = []
        for go in (make, by_two):
            with pytest.raises(SftcliError) as found:
                go("out", "pairs.jsonl", *others, template="plain", split_size=4_000)
            told.append((type(found.value), str(found.value), getattr(found.value, "rejects", None)))
            assert not Path("out/manifest.json").exists()
            shutil.rmtree("out", ignore_errors=True)
        assert told[0] == told[1]


def test_a_process_that_is_killed_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them once: where it has done a split already, or at its first one."""
    make("one", "pairs.jsonl", template="plain", split_size=4_000)
    monkeypatch.setenv("SFTCLI_FAILPOINTS", "worker.split@3=kill")
    by_two("two", "pairs.jsonl", template="plain")
    assert tree(Path("two")) == tree(Path("one"))


def test_a_record_that_kills_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFTCLI_FAILPOINTS", "record:What is 273 +=kill")
    with pytest.raises(EnvironmentFault) as found:
        by_two("out", "pairs.jsonl", template="plain")
    assert str(found.value) == (
        "pairs.jsonl:274: the processes that read this record were killed by signal 9, perhaps for want of "
        "memory; take it out, or pass --on-error skip or --on-error quarantine"
    )


def test_records_that_kill_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFTCLI_FAILPOINTS", "record:What is 273 +=kill,record:What is 275 +=kill")
    by_two("out", "pairs.jsonl", template="plain", on_error="quarantine")
    counts = manifest(Path("out"))["counts"]
    assert (counts["lines"], counts["examples"], counts["rejected"]) == (400, 398, {"kills_process": 2})
    rejects = [json.loads(line) for line in Path("out/rejects.jsonl").read_text().splitlines()]
    assert [(one["line"], one["column"], one["code"], json.loads(one["raw"])) for one in rejects] == [
        (274, 1, "R017", RECORDS[273]),
        (276, 1, "R017", RECORDS[275]),
    ]


def test_lines_that_kill_only_together_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What kills is not in one record: as where memory is short."""
    monkeypatch.setenv("SFTCLI_FAILPOINTS", "worker.lines: 0-=kill")
    monkeypatch.setenv("SFTCLI_FAILPOINTS", "worker.split:1=kill")
    with pytest.raises(EnvironmentFault) as found:
        by_two("out", "pairs.jsonl", template="plain", count=1)
    assert str(found.value).startswith("pairs.jsonl:")
    assert str(found.value).endswith("over these lines; run again, or with --num-proc 1")


def test_processes_that_cannot_begin_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sftcli.workers.pool._START", "raise SystemExit(7)")
    with pytest.raises(EnvironmentFault) as found:
        by_two("out", "pairs.jsonl", template="plain")
    assert str(found.value) == (
        "worker processes end before they have begun (exit code 7); run with --num-proc 1"
    )


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"num_proc": 3, "split_size": 4_000}, 3),
        ({"num_proc": 3}, 1),  # one split
        ({"num_proc": 1, "split_size": 4_000}, 1),
        ({"split_size": 4_000}, 1),  # little input
        ({"num_proc": 3, "split_size": 4_000, "limit": 9}, 1),
        ({"num_proc": 3, "split_size": 4_000, "inputs": ["none.jsonl"]}, 1),
        ({"num_proc": 3, "split_size": 4_000, "inputs": ["-", "pairs.jsonl"]}, 1),
        ({"num_proc": 99, "inputs": ["pairs.jsonl", "chats.jsonl", "more.jsonl.gz"]}, 3),
    ],
)
def test_how_many_processes_there_are(options: dict[str, Any], count: int) -> None:
    config = Config(**{"inputs": ["pairs.jsonl"], **options})
    assert workers_for(config) == count
    with open_pool(config) as pool:
        assert (pool is None) == (count == 1)


def test_the_command_line_takes_processes(sftcli_here: Here) -> None:
    command = ("prepare", "pairs.jsonl", "-t", "demo", "--template", "plain", "--split-size", "4kB")
    assert run_sftcli(*command, "-o", "two", "--num-proc", "2", "--quiet", cwd=Path()).code == 0
    assert sftcli_here(*command, "-o", "one", "--num-proc", "1", "--quiet").code == 0
    assert tree(Path("two")) == tree(Path("one"))
    assert sftcli_here(*command, "-o", "bad", "--num-proc", "0").err.endswith(
        "Invalid value for '--num-proc': '0' is no number from 1 on; take one, or auto\n"
    )


def test_bad_records_are_bounded_over_all_splits(sftcli_here: Here) -> None:
    Path("bad.jsonl").write_bytes(
        jsonl(RECORDS[0], {"prompt": "a"}, *RECORDS[:200], {}, {}, *RECORDS[200:], {"completion": "b"})
    )
    command = ("prepare", "bad.jsonl", "-t", "demo", "--template", "plain", "--split-size", "4kB", "--quiet")
    refused = sftcli_here(*command, "-o", "out", "--on-error", "skip", "--max-bad", "3")
    assert refused.code == 1
    assert refused.err == (
        "error: 4 of 405 records are bad, over --max-bad 3 (the first at bad.jsonl:2:1); nothing was "
        "written. Mend the data, or allow more of them\n"
    )
    ended = sftcli_here(
        *command[:-1], "-o", "out", "--on-error", "skip", "--max-bad", "1%", "--num-proc", "2"
    )
    assert (ended.code, ended.err) == (0, "")
    assert "  resumed    6 splits had been done before\n" in ended.out
    make("fresh", "bad.jsonl", template="plain", split_size="4kB", on_error="skip", max_bad="1%")
    assert tree(Path("out")) == tree(Path("fresh"))
    assert sftcli_here(*command, "-o", "more", "--max-bad", "3").err.endswith(
        "leaves out none; add --on-error skip or --on-error quarantine\n"
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_no_process_outlives_the_first(number: signal.Signals, code: int) -> None:
    Path("long.jsonl").write_bytes(jsonl(*RECORDS) * 2_000)
    command = [sys.executable, "-m", "sftcli", "prepare", "long.jsonl", "-t", "demo", "--template", "plain"]
    command += ["-o", "out", "--num-proc", "2", "--split-size", "4MB"]
    run = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
    while not list(Path().glob("out/.staging/done/*.json")):
        assert run.poll() is None
        time.sleep(0.01)
    os.kill(run.pid, number)
    assert run.wait(30) == code
    for _ in range(300):
        left = subprocess.run(["pgrep", "-s", str(run.pid)], capture_output=True, check=False).stdout
        if not left:
            break
        time.sleep(0.1)
    assert left == b""
    assert run.stderr is not None
    with run.stderr:
        told = run.stderr.read().decode()
    # Of SIGKILL nobody can tell.
    said = f"resume with: sftcli {' '.join(command[3:])}\n"
    assert told.endswith(said) == (number != signal.SIGKILL)
