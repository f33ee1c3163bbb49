"""Rows -> the screen, a pager or a file, as text, JSON lines or one HTML page."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click

from sftcli.cli.pager import paged
from sftcli.cli.terminal import terminal
from sftcli.errors import EnvironmentFault, UsageError
from sftcli.view.json import row_json
from sftcli.view.page import Screen
from sftcli.view.row import RowView


def print_text(chunks: Iterable[str], screen: Screen, output: str | None, pager: bool | None) -> None:
    """Each chunk is a row; an empty line stands between two."""
    spaced = ("\n" * bool(index) + chunk for index, chunk in enumerate(chunks))
    if output is not None:
        with opened(output) as file:
            file.writelines(f"{chunk}\n" for chunk in spaced)
    elif pager is False:
        for chunk in spaced:
            click.echo(chunk, color=screen.color)
    else:
        paged(spaced, screen)


def print_json(views: Iterable[RowView], output: str | None, *, measured: bool) -> None:
    """One object on a line for each row. A terminal gets no character of the data that it may act on."""
    plain = output is None and (sys.stdout.isatty() or terminal("never").ascii_only)
    lines = (json.dumps(row_json(view, measured=measured), ensure_ascii=plain) for view in views)
    if output is not None:
        with opened(output) as file:
            file.writelines(f"{line}\n" for line in lines)
        return
    for line in lines:
        click.echo(line)


def print_html(
    views: Iterable[RowView],
    output: str | None,
    title: str,
    facts: Mapping[str, str],
    found: Sequence[str],
) -> None:
    """One page for all rows, which looks for the texts that they were `found` by.

    Raises UsageError where it would go to a terminal.
    """
    from sftcli.view.html import query_for, write_html

    query = query_for(found)
    if output is not None:
        with opened(output) as file:
            write_html(views, file, title, facts, query)
        return
    if sys.stdout.isatty():
        raise UsageError("--format html: name a file for the page with -o, such as -o rows.html")
    write_html(views, sys.stdout, title, facts, query)


@contextmanager
def opened(output: str) -> Iterator[TextIO]:
    """A text file that takes the place of an old one when it is whole. Raises EnvironmentFault."""
    path = Path(output)
    path = path.resolve() if path.is_file() else path  # a link stays one
    # What is no file (/dev/stdout, a named pipe) cannot be put in the place of anything.
    part = (
        path if path.exists() and not path.is_file() else path.with_name(f".{path.name}.{os.getpid()}.part")
    )
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        if part != path:
            part.replace(path)
    except OSError as problem:
        raise EnvironmentFault(f"{output}: cannot be written: {problem.strerror or problem}") from None
    finally:
        if part != path:
            part.unlink(missing_ok=True)
