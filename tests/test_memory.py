"""The most memory that a run takes, as the kernel tells it, where its input is long in one way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CONFIGS, chat, write

# A small process between this one and the one that is measured: Linux counts the memory of whoever begins
# a process as that process's own.
_MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak(*args: str, code: int = 0) -> float:
    """The largest memory of a run of the tool, in MB."""
    ended = subprocess.run(
        [sys.executable, "-c", _MEASURE, sys.executable, "-m", "sftcli", *args],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(CONFIGS.parent)},
        text=True,
        check=True,
    )
    ended_with, found = map(int, ended.stdout.split())
    assert ended_with == code, ended.stderr
    return found / 1024


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


WORDS = "the cat sat on the mat and said 42, 'no more of it'; "
GLYPHS = "".join(map(chr, range(0x4E00, 0x5E00))) + "\n"


@pytest.mark.parametrize(("text", "bytes_each"), [(WORDS, 1), (GLYPHS, 3)], ids=["words", "glyphs"])
def test_one_record_of_many_megabytes(text: str, bytes_each: int) -> None:
    """What a record of 12 MB takes beside what one of 3 MB does, for each of its bytes more."""
    found = []
    for megabytes in (3, 12):
        long = text * (megabytes * 1_000_000 // len(text) // bytes_each)
        write(Path("a.jsonl"), chat("Go on.", long))
        found.append(
            peak("prepare", "a.jsonl", "-t", "demo", "--template", "chatml", "-o", f"out{megabytes}")
        )
    assert (found[1] - found[0]) / 9 < 45
