"""What is told in a terminal fits it, and is one line for what is no terminal."""

import io
import itertools
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import ioctl
from pathlib import Path
from typing import TextIO

import pytest
from conftest import CONFIGS, EXAMPLES, run_sftcli
from hypothesis import given
from hypothesis import strategies as st

from sftcli.cli.terminal import hung
from sftcli.view.cells import width_of
from sftcli.view.fold import folded


@contextmanager
def terminal_of(columns: int) -> Iterator[TextIO]:
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with open(theirs, "w") as stream:
        yield stream
    os.close(ours)


LONG = "one two three four five six seven"


def test_what_is_no_terminal_gets_one_line() -> None:
    assert hung(LONG, 9, io.StringIO()) == LONG


def test_lines_hang_below_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    with terminal_of(30) as stream:
        assert hung(LONG, 9, stream) == "one two three four\n         five six seven"
        assert hung("one two", 9, stream) == "one two"
        monkeypatch.setenv("COLUMNS", "80")  # as everywhere
        assert hung(LONG, 9, stream) == LONG
    monkeypatch.delenv("COLUMNS")
    with terminal_of(4) as stream:  # too narrow for anything
        assert hung(LONG, 9, stream) == "one two three four\n         five six seven"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("to do `a b c` now", ["to do", "`a b c`", "now"]),
        ("a path/that/is/long b", ["a", "path/that/is/long", "b"]),
        ("it`s a tick", ["it`s a", "tick"]),
        ("\u65e5\u672c\u8a9e ab", ["\u65e5\u672c\u8a9e", "ab"]),  # of two columns each
    ],
)
def test_folded(text: str, lines: list[str]) -> None:
    assert folded(text, 8) == lines


@given(st.text("ab `\u65e5", max_size=40), st.integers(1, 20))
def test_nothing_is_lost_and_no_line_is_too_long(text: str, width: int) -> None:
    lines = folded(text, width)
    assert " ".join(lines).split() == text.split()
    for line in lines:
        assert width_of(line) <= width or " " not in line.strip(" ") or line.count("`") >= 2
    for line, after in itertools.pairwise(lines):
        assert width_of(line) + 1 + width_of(after.split(" ")[0]) > width


def in_terminal(columns: int, *arguments: str) -> str:
    """What `sftcli ARGUMENTS` shows on a terminal so wide, without colour."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    own = {name: text for name, text in os.environ.items() if name != "COLUMNS"}
    own["PYTHONPATH"] = os.pathsep.join(filter(None, [str(CONFIGS.parent), own.get("PYTHONPATH")]))
    with subprocess.Popen(
        [sys.executable, "-m", "sftcli", *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=own
    ):
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # on Linux the end of a terminal that nobody writes to is an error
            while read := os.read(ours, 65_536):
                shown += read
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r\n", "\n")


def test_a_run_in_a_terminal_and_in_a_pipe(tmp_path: Path) -> None:
    options = ("-t", "demo", "--packing", "bfd", "--max-length", "512", "--no-progress", "--overwrite")
    run = ("prepare", str(EXAMPLES / "chat.jsonl"), *options, "-o", "out")
    note = (
        "with an attention_mask of ones transformers lets packed documents see one another: leave that "
        "column out when you train (position_ids alone keep them apart), or take --profile trl"
    )
    assert f"  note       {note}\n" in run_sftcli(*run, cwd=tmp_path).out
    shown = in_terminal(60, *run[:-1], str(tmp_path / "out"))
    assert "  note       with an attention_mask of ones transformers\n             lets" in shown
    assert f"note {note}" in " ".join(shown.split())
    assert max(len(line) for line in shown.splitlines() if "/" not in line) <= 60


def test_an_error_in_a_terminal(tmp_path: Path) -> None:
    bad = tmp_path / "in.jsonl"
    bad.write_bytes(b"[]\n")
    run = (
        "prepare",
        str(bad),
        "-t",
        "demo",
        "--template",
        "plain",
        "--no-progress",
        "-o",
        str(tmp_path / "out"),
    )
    piped = run_sftcli(*run).err
    shown = in_terminal(60, *run)
    assert shown.split() == piped.split()
    assert len(piped.splitlines()) < len(shown.splitlines())
