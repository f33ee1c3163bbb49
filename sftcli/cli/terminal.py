"""What the terminal that we print to can show."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from sftcli.view.cells import one_line
from sftcli.view.fold import folded
from sftcli.view.page import Screen

_LEAST = 20  # columns of text, however narrow a terminal is


def terminal(color: str = "auto") -> Screen:
    """Colour, width and alphabet of standard output; NO_COLOR and FORCE_COLOR are respected."""
    wanted = color == "always"
    term = os.environ.get("TERM", "")
    if color == "auto":
        wanted = bool(os.environ.get("FORCE_COLOR")) or sys.stdout.isatty()
        wanted = wanted and not os.environ.get("NO_COLOR") and term != "dumb"
    deep = "256color" in term or bool(os.environ.get("COLORTERM"))
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    width = shutil.get_terminal_size((80, 24)).columns
    return Screen(wanted, max(width, _LEAST), not encoding.startswith("utf"), deep)


def hung(text: str, indent: int, stream: TextIO) -> str:
    """Text that begins `indent` columns from the left, its further lines below its first.

    A stream that is no terminal gets it as one line, for `grep` and logs.
    """
    if not stream.isatty():
        return text
    room = max(_columns(stream) - indent, _LEAST)
    return f"\n{'':{indent}}".join(folded(text, room))


def _columns(stream: TextIO) -> int:
    """The width of a terminal; COLUMNS goes before it."""
    columns = shutil.get_terminal_size((0, 0)).columns  # of standard output, where that is a terminal
    try:
        return columns or os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def warning(text: str) -> str:
    """What warns on stderr, safe to print."""
    return labelled("warning", "yellow", one_line(text))


def labelled(label: str, color: str, text: str) -> str:
    """A text for stderr, which must be safe to print, behind a label such as `error`."""
    head = f"{label}: "
    lines = "\n".join(hung(line, len(head), sys.stderr) for line in text.split("\n"))
    return f"{click.style(head.rstrip(), fg=color, bold=True)} {lines}"


@contextmanager
def while_it_is_read() -> Iterator[None]:
    """What is printed here is lost without a word once nobody reads it, as in `... | head`."""
    try:
        yield
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        drop_output()


def drop_output() -> None:
    """Send what is left of the streams that nobody reads any more to nowhere."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
