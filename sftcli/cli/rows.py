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
    for line in _said(search):
        click.echo(one_line(line), err=True)


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


def _said(search: Search[Any]) -> Iterator[str]:
    """What there is to say of a search that has come to its end, for stderr."""
    source, selection = search.source, search.selection
    if search.ended:
        yield from _found(search)
    if isinstance(source, RawData):
        if source.bad:
            count = _count(source.bad, "bad record")
            yield f"warning: {count} passed over; the first: {source.first_bad}"
        if selection.needs_tokens and source.run.engines.warning:
            yield f"warning: {source.run.engines.warning}"


def _found(search: Search[Any]) -> Iterator[str]:
    selection, noun = search.selection, search.source.noun
    searched, matched = _count(search.searched, noun), f"{search.matched:,}"
    filtered = bool(selection.text or selection.marks or selection.id is not None)
    of = f"{matched} that match of {searched}" if filtered else searched
    if filtered and not search.matched:
        yield f"none of {searched} matches"
    elif selection.sample is not None and not selection.ranking:
        yield f"{search.shown:,} drawn from {of} (seed {selection.seed})"
    elif selection.ranking:
        drawn = f"{selection.sample} drawn from {of} (seed {selection.seed})"
        among = of if selection.sample is None else drawn
        what = selection.ranking if search.shown == 1 else f"{search.shown:,} {selection.ranking}"
        more = "; --max-rows N shows more" if search.matched > search.shown and selection.most is None else ""
        yield f"the {what} of {among}{more}"
    elif filtered and search.shown < search.matched:
        yield f"{matched} of {searched} match; the first {search.shown:,} are shown (--max-rows N shows more)"
    elif filtered:
        verb = "matches" if search.matched == 1 else "match"
        yield f"{matched} of {searched} {verb}"
    elif not search.shown:
        yield f"no {noun} is there: {search.source.name} has {_count(search.source.seen, noun)}"
    elif search.shown < search.matched:
        total = _count(search.matched, noun)
        yield f"the first {search.shown:,} of {total} are shown (--max-rows N shows more)"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
