"""What the terminal that we print to can show."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sftcli.view.page import Screen


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
    return Screen(wanted, max(width, 20), not encoding.startswith("utf"), deep)


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
