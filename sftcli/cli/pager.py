"""Long output in a terminal goes through a pager, as `git log` does it."""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import PurePath
from typing import IO, cast

import click

from sftcli.view.page import Screen


def paged(chunks: Iterable[str], screen: Screen, wanted: bool | None = None) -> None:
    """Print each chunk and a line break; through a pager where it is a terminal that cannot hold them.

    `wanted`: in a terminal always or never, whatever the length. The pager is $PAGER, or less, or
    more; none where $PAGER is empty or `cat`. Chunks are taken one by one, and no further than a
    reader goes. With less, $LESS is respected.
    """
    remaining = iter(chunks)
    able = wanted is not False and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    command = _pager() if able else None
    if command is not None:
        first, full = _screenful(remaining)
        remaining = chain(first, remaining)
        if full or wanted:
            _through(command, remaining, screen)
            return
    for chunk in remaining:
        click.echo(chunk, color=screen.color)


def _pager() -> list[str] | None:
    """The command of the pager, or None where there is none."""
    given = os.environ.get("PAGER")
    if given is not None:
        try:
            words = shlex.split(given)
        except ValueError:  # a quotation without its end
            words = []
        return words if words and words[0] != "cat" and shutil.which(words[0]) else None
    return next(([name] for name in ("less", "more") if shutil.which(name)), None)


def _screenful(chunks: Iterator[str]) -> tuple[list[str], bool]:
    """The chunks that it takes to fill the terminal, and whether they do."""
    rows = shutil.get_terminal_size((80, 24)).lines
    found: list[str] = []
    lines = 1  # the prompt that follows
    for chunk in chunks:
        found.append(chunk)
        lines += chunk.count("\n") + 1
        if lines > rows:
            return found, True
    return found, False


def _through(command: list[str], chunks: Iterable[str], screen: Screen) -> None:
    environment = {**os.environ}
    if PurePath(command[0]).name == "less":
        environment.setdefault("LESS", "FRX")
        if screen.color:
            command = [*command, "-R"]
        if not screen.ascii_only:
            environment.setdefault("LESSCHARSET", "utf-8")
    sys.stdout.flush()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    try:
        # Who has seen enough closes the pager, and with it the pipe.
        with contextlib.suppress(BrokenPipeError), cast(IO[bytes], process.stdin) as pipe:
            for chunk in chunks:
                pipe.write(chunk.encode() + b"\n")
                pipe.flush()
    finally:
        _wait(process)


def _wait(process: "subprocess.Popen[bytes]") -> None:
    """Until the pager ends. Ctrl-C belongs to it: less stops a search then, and stays."""
    while True:
        try:
            process.wait()
            return
        except KeyboardInterrupt:
            continue
