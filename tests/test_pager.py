"""Long output in a terminal: real pagers, started in a terminal of their own."""

import os
import pty
import select
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Prints as many lines as it is told to, one chunk a line, and tells how many chunks were taken.
PRINTS = """\
import sys
from sftcli.cli.pager import paged
from sftcli.cli.terminal import terminal
taken = 0
def chunks(count):
    global taken
    for index in range(count):
        taken += 1
        yield f"line {index}"
wanted = {"auto": None, "always": True, "never": False}[sys.argv[2]]
screen = terminal()
paged(chunks(int(sys.argv[1])), screen, wanted)
print("taken", taken, "colour", screen.color, "width", screen.width, "deep", screen.deep, file=sys.stderr)
"""


def in_terminal(lines: int, wanted: str = "auto", rows: int = 24, **environment: str) -> tuple[str, str, int]:
    """What a terminal of 24 lines of 77 columns gets, standard error, and the exit code."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 77, 0, 0))
    known = {
        name: text
        for name, text in os.environ.items()
        if name not in ("LESS", "NO_COLOR", "COLUMNS", "LINES")
    }
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTS, str(lines), wanted],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={**known, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **environment},
    )
    os.close(theirs)
    shown = b""
    # On Linux the end of a terminal that nobody writes to is an error.
    while select.select([ours], [], [], 60)[0]:
        try:
            shown += os.read(ours, 65_536)
        except OSError:
            break
    _, told = process.communicate(timeout=60)
    os.close(ours)
    return shown.decode().replace("\r\n", "\n"), told.decode(), process.returncode


def pager(tmp_path: Path, script: str) -> str:
    """A pager of the user's own."""
    path = tmp_path / "my pager"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"'{path}' -x"


def printed(count: int) -> str:
    return "".join(f"line {index}\n" for index in range(count))


def test_what_the_terminal_holds_is_printed(tmp_path: Path) -> None:
    shown, told, code = in_terminal(23, PAGER=pager(tmp_path, "sed 's/^/paged /'"))
    assert (shown, code) == (printed(23), 0)
    assert told == "taken 23 colour True width 77 deep True\n"


def test_what_it_cannot_hold_goes_through_the_pager(tmp_path: Path) -> None:
    shown, _, code = in_terminal(24, PAGER=pager(tmp_path, "sed 's/^/paged /'"))
    assert (shown, code) == (printed(24).replace("line", "paged line"), 0)


def test_a_pager_can_be_asked_for_and_declined(tmp_path: Path) -> None:
    name = pager(tmp_path, "sed 's/^/paged /'")
    assert in_terminal(1, "always", PAGER=name)[0] == "paged line 0\n"
    assert in_terminal(50, "never", PAGER=name)[0] == printed(50)


@pytest.mark.parametrize("name", ["cat", "", "no-such-pager -x", "'unended"])
def test_without_a_pager_all_is_printed(name: str) -> None:
    assert in_terminal(50, PAGER=name)[::2] == (printed(50), 0)


def test_a_dumb_terminal_has_no_pager_and_no_colour(tmp_path: Path) -> None:
    shown, told, _ = in_terminal(50, PAGER=pager(tmp_path, "sed 's/^/paged /'"), TERM="dumb")
    assert shown == printed(50)
    assert told == "taken 50 colour False width 77 deep False\n"


def test_who_has_seen_enough_ends_the_work(tmp_path: Path) -> None:
    shown, told, code = in_terminal(10_000_000, PAGER=pager(tmp_path, "head -n 2"))
    assert (shown, code) == ("line 0\nline 1\n", 0)
    assert int(told.split()[1]) < 1_000_000


def test_less_is_told_of_colours_and_keeps_the_users_options(tmp_path: Path) -> None:
    less = tmp_path / "less"
    less.write_text('#!/bin/sh\ncat > /dev/null\necho "$LESS/$*/$LESSCHARSET"\n')
    less.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PAGER": "less -S", "PYTHONIOENCODING": "utf-8"}
    assert in_terminal(50, **path)[0] == "FRX/-S -R/utf-8\n"
    assert in_terminal(50, **path, LESS="-i", LESSCHARSET="latin1")[0] == "-i/-S -R/latin1\n"
    assert in_terminal(50, **path, NO_COLOR="1")[0] == "FRX/-S/utf-8\n"


def test_into_a_pipe_all_is_printed(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PRINTS, "50", "always"],
        capture_output=True,
        check=True,
        env={
            **os.environ,
            "PAGER": pager(tmp_path, "false"),
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "91",
            "TERM": "x",
        },
    )
    assert ended.stdout.decode() == printed(50)
    assert ended.stderr.decode().startswith("taken 50 colour False width 91 ")
