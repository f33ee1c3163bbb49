"""What `inspect` does: a source is opened and searched, its rows are shown, and the search is told of."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from sftcli.cli.against import Other, other_side
from sftcli.cli.asked import Asked
from sftcli.cli.options import config_flags, refuse_row_options
from sftcli.cli.rows_out import check_output, print_html, print_json, print_text
from sftcli.cli.said import counted, said
from sftcli.cli.show import Bar
from sftcli.cli.terminal import terminal
from sftcli.config import load_config
from sftcli.errors import UsageError
from sftcli.fastload import warm_up
from sftcli.view.cells import one_line
from sftcli.view.dataset import Dataset
from sftcli.view.page import Screen
from sftcli.view.raw import RawData
from sftcli.view.row import RowView
from sftcli.view.select import Search, Selection

AnySource = RawData | Dataset
Measure = Callable[[RowView], RowView]


def show_rows(sources: tuple[str, ...], config: str | None, flags: dict[str, Any], asked: Asked) -> None:
    """Find the rows that are asked for, and write them to the screen or a file."""
    form, selection = asked.form(), asked.selection()
    source = open_source(sources, config, flags, selection)
    if asked.output is not None:
        check_output(asked.output, source.files)
    measure = _measure(asked.loss, source)
    search: Search[Any] = Search(source, selection)
    with Bar(sys.stderr.isatty(), "inspect") as bar:
        source.tell = _begin(bar, source, selection)
        items = _then_without(bar, search.items())
        if form == "text":
            screen = _screen(asked)
            other = other_side(asked.against, source, config, flags) if asked.against else None
            chunks = _chunks(items, source, measure, other, asked.view or "text", screen)
            print_text(chunks, screen, asked.output, asked.pager)
        elif form == "json":
            print_json(map(measure, map(source.view, items)), asked.output, measured=asked.loss is not None)
        else:
            facts = source.facts | ({"losses": asked.loss} if asked.loss is not None else {})
            print_html(map(measure, map(source.view, items)), asked.output, source.name, facts)
    for line in said(search):
        click.echo(line, err=True)
    if asked.output is not None:
        click.echo(f"{counted(search.shown, source.noun)}: {one_line(asked.output)}", err=True)


def open_source(
    sources: tuple[str, ...], config: str | None, flags: dict[str, Any], selection: Selection
) -> AnySource:
    """A prepared folder, or raw data as the options say it becomes rows."""
    folders = [source for source in sources if Path(source).is_dir()]
    if folders and len(sources) > 1:
        raise UsageError(f"{folders[0]}: is a folder; one prepared folder is inspected at a time")
    if folders:
        refuse_row_options(folders[0], config, flags)
        return Dataset(Path(folders[0]))
    loaded = load_config(config, {"inputs": list(sources), **config_flags(flags)})
    if "truncated" in selection.marks and loaded.max_length is None:
        raise UsageError("--only truncated: no row is too long without --max-length N; name the length")
    if selection.needs_tokens and loaded.encoder != "tokenizers":
        warm_up(loaded.tokenizer, loaded.inputs)
    return RawData(loaded, encoded=selection.needs_tokens)


def _measure(model: str | None, source: AnySource) -> Measure:
    """What gives rows their losses, or leaves them as they are where no model is named."""
    if model is None:
        return lambda view: view
    from sftcli.view.loss import LossModel

    loss = LossModel(model)
    loss.check_tokenizer(source.tokenizer)
    return loss.measure


def _begin(bar: Bar, source: AnySource, selection: Selection) -> Callable[[int], None]:
    if isinstance(source, RawData):
        return bar.start(source.run)
    # Rows that are known by their numbers are found at once.
    return bar.begin(source.rows, "row") if selection.is_search else lambda done: None


def _then_without(bar: Bar, items: Iterator[Any]) -> Iterator[Any]:
    """The bar goes when the first row comes: rows may be shown in the same terminal."""
    for item in items:
        bar.close()
        yield item


def _screen(asked: Asked) -> Screen:
    screen = terminal(asked.color)
    if asked.output is None:
        return screen
    return Screen(asked.color == "always", screen.width)  # a file is UTF-8


def _chunks(
    items: Iterator[Any], source: AnySource, measure: Measure, other: Other | None, view: str, screen: Screen
) -> Iterator[str]:
    """The rows as text, each without a line break at its end."""
    if other is None:
        from sftcli.view.views import VIEWS

        return (VIEWS[view](measure(source.view(item)), screen) for item in items)
    from sftcli.view.diff import show_diff

    pairs = ((measure(source.view(item)), measure(other.view(item))) for item in items)
    return (show_diff(left, right, other.names, screen) for left, right in pairs)
