"""A command in a terminal of 80 columns, and what it prints there as a picture (SVG)."""

import fcntl
import io
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from rich.color import blend_rgb
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = 80
ROWS = 50

BACKGROUND, FOREGROUND = (24, 26, 31), (205, 209, 217)
THEME = TerminalTheme(
    BACKGROUND,
    FOREGROUND,
    [
        (62, 67, 78),
        (224, 108, 117),
        (126, 198, 119),
        (226, 183, 102),
        (97, 165, 232),
        (198, 130, 221),
        (86, 182, 194),
        (190, 196, 206),
    ],
    [
        (107, 114, 128),
        (240, 138, 146),
        (152, 216, 145),
        (239, 204, 137),
        (135, 190, 245),
        (216, 160, 236),
        (122, 207, 217),
        (255, 255, 255),
    ],
)
SIZE, ADVANCE, LEADING, MARGIN = 13, 7.8, 18, 14
FONTS = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


def piped(arguments: Sequence[str], folder: Path) -> str:
    """What `sftcli ARGUMENTS` prints into a pipe, both streams: no colour, 80 columns."""
    return subprocess.run(
        [sys.executable, "-m", "sftcli", *arguments],
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    ).stdout


def on_a_terminal(arguments: Sequence[str], folder: Path) -> str:
    """What `sftcli ARGUMENTS` prints on a terminal with colours, escape sequences and all.

    Raises SystemExit with the command's own message where it fails.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        with subprocess.Popen(
            [sys.executable, "-m", "sftcli", *arguments],
            cwd=folder,
            env={**_environment(), "TERM": "xterm-256color"},
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=said,
        ) as process:
            os.close(theirs)
            printed = b"".join(_read_all(ours))
            os.close(ours)
        if process.returncode:
            said.seek(0)
            sys.exit(f"sftcli {shlex.join(arguments)}: exit code {process.returncode}\n{said.read()}")
    return printed.decode().replace("\r\n", "\n")


def _environment() -> dict[str, str]:
    """Nothing of the caller's settings but where programs and modules are."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONUTF8": "1",
        "HF_HUB_OFFLINE": "1",
        "PAGER": "",
    }


def _read_all(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(terminal, 1 << 16)
        except OSError:  # what Linux says when the other side is closed
            return
        if not chunk:
            return
        yield chunk


def without_colour(printed: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", printed)


def svg(printed: str, command: str) -> str:
    """The picture. What it says is in its `desc` as plain text, for those who do not see it.

    Raises SystemExit for a line that the terminal would fold.
    """
    lines = _lines(printed)
    width = round(COLUMNS * ADVANCE + 2 * MARGIN)
    height = LEADING * len(lines) + 2 * MARGIN
    shapes = "\n".join(shape for row, line in enumerate(lines) for shape in _shapes(line, row))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" xml:space="preserve">\n'
        f"<title>{escape(command)}</title>\n"
        f"<desc>{escape(without_colour(printed), quote=False)}</desc>\n"
        f"<style>text{{font:{SIZE}px {FONTS};white-space:pre}}</style>\n"
        f'<rect width="100%" height="100%" rx="8" fill="{_hex(BACKGROUND)}"/>\n'
        f"{shapes}\n</svg>\n"
    )


def _lines(printed: str) -> list[list[Segment]]:
    text = Text.from_ansi(printed.rstrip("\n"))
    for line in text.split():
        if line.cell_len > COLUMNS:
            sys.exit(f"a line of {line.cell_len} columns, of {COLUMNS}: {line.plain}")
    console = Console(width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    return [list(line) for line in console.render_lines(text, pad=False)]


def _shapes(line: Sequence[Segment], row: int) -> Iterator[str]:
    """One line's coloured boxes and words; each word stands where a terminal has it, whatever the font."""
    column = 0
    for segment in line:
        style, width = segment.style or Style.null(), segment.cell_length
        front, back = _colours(style)
        top = MARGIN + row * LEADING
        if back != BACKGROUND:
            yield (
                f'<rect x="{_x(column)}" y="{top}" width="{width * ADVANCE:.1f}" height="{LEADING}" '
                f'fill="{_hex(back)}"/>'
            )
        if segment.text.strip():
            marks = ' font-weight="bold"' * bool(style.bold)
            marks += ' text-decoration="underline"' * bool(style.underline)
            yield (
                f'<text x="{_x(column)}" y="{top + SIZE}" textLength="{width * ADVANCE:.1f}" '
                f'fill="{_hex(front)}"{marks}>{escape(segment.text, quote=False)}</text>'
            )
        column += width


def _colours(style: Style) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    front = tuple(style.color.get_truecolor(THEME)) if style.color else FOREGROUND
    back = tuple(style.bgcolor.get_truecolor(THEME, foreground=False)) if style.bgcolor else BACKGROUND
    if style.reverse:
        front, back = back, front
    if style.dim:
        front = blend_rgb(front, back, 0.4)
    return front, back


def _x(column: int) -> str:
    return f"{MARGIN + column * ADVANCE:.1f}"


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
