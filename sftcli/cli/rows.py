"""What `inspect` does: a source is opened and searched, its rows are shown, and the search is told of."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from sftcli.cli.against import Other, other_side
from sftcli.cli.asked import Asked
from sftcli.cli.options import config_flags, refuse_row_options
from sftcli.cli.output_file import check_output_file
from sftcli.cli.rows_out import print_html, print_json, print_text
from sftcli.cli.said import counted, said
from sftcli.cli.show import Bar
from sftcli.cli.terminal import terminal, warning
from sftcli.config import inputs_of, load_config
from sftcli.errors import UsageError
from sftcli.fastload import warm_up
from sftcli.manifest import MANIFEST
from sftcli.view.cells import one_line
from sftcli.view.dataset import Dataset
from sftcli.view.find import with_found
from sftcli.view.page import Screen
from sftcli.view.raw import RawData
from sftcli.view.row import RowView
from sftcli.view.select import Search, Selection

AnySource = RawData | Dataset


def _read(source: AnySource, config: str | None, asked: Asked) -> list[str | None]:
    """What is read besides the rows."""
    configs = [job.config for job in source.jobs] if isinstance(source, RawData) else []
    layout = [part for of_rows in configs for part in (of_rows.tokenizer, of_rows.template)]
    against = [part for text in asked.against for part in (text, text.partition("=")[2])]
    return [config, asked.loss, *layout, *against]


def show_rows(sources: tuple[str, ...], config: str | None, flags: dict[str, Any], asked: Asked) -> None:
    """Find the rows that are asked for, and write them to the screen or a file."""
    form, selection = asked.form(), asked.selection()
    source = open_source(sources, config, flags, selection, asked.split)
    if asked.output is not None:
        check_output_file("-o", asked.output, [*source.files, *_read(source, config, asked)])
    losses = None if asked.loss is None else Losses(asked.loss, source, selection)
    search: Search[Any] = Search(source, selection)
    with Bar(sys.stderr.isatty(), "inspect") as bar:
        source.tell = _begin(bar, source, selection)
        items = _then_without(bar, search.items())
        views: Iterable[RowView] = map(source.view, items)
        if losses is not None:
            views = map(losses.of, views)
        if selection.text:
            views = (with_found(view, selection.text) for view in views)
        if form == "text":
            screen = _screen(asked)
            other = other_side(asked.against, source, config, flags) if asked.against else None
            if other is None:
                chunks = _shown(views, asked.view or "text", screen)
            else:
                chunks = _compared(items, source, other, screen)
            print_text(chunks, screen, asked.output, asked.pager)
        elif form == "json":
            print_json(views, asked.output, measured=losses is not None)
        else:
            facts = source.facts | ({"losses": asked.loss} if asked.loss is not None else {})
            print_html(views, asked.output, source.name, facts, asked.texts)
    for line in [*said(search), *(losses.said() if losses else ())]:
        click.echo(line, err=True)
    if asked.output is not None:
        click.echo(f"{counted(search.shown, source.noun)}: {one_line(asked.output)}", err=True)


def open_source(
    sources: tuple[str, ...],
    config: str | None,
    flags: dict[str, Any],
    selection: Selection,
    split: str | None,
) -> AnySource:
    """A prepared folder or a split of it, or raw data as the options say it becomes rows."""
    folders = [source for source in sources if Path(source).is_dir()]
    if folders and len(sources) > 1:
        raise UsageError(f"{folders[0]}: is a folder; one prepared folder is inspected at a time")
    if folders:
        refuse_row_options(folders[0], config, flags)
        return Dataset(Path(folders[0]), split)
    _refuse_shards(sources)
    if split is not None:
        raise UsageError(
            f"--split {split}: raw data has no splits yet; name a folder that `prepare --val-size` made"
        )
    loaded = load_config(config, {"inputs": list(sources), **config_flags(flags)})
    if "truncated" in selection.marks and loaded.max_length is None:
        raise UsageError("--only truncated: no row is too long without --max-length N; name the length")
    if selection.needs_tokens and loaded.encoder != "tokenizers":
        warm_up(loaded.tokenizer, inputs_of(loaded))
    return RawData(loaded, encoded=selection.needs_tokens)


class Losses:
    """Gives rows their losses. Of several rows, those that are too long for the model have none."""

    def __init__(self, model: str, source: AnySource, selection: Selection) -> None:
        from sftcli.view.loss import TOO_LONG, LossModel

        self._model, self._mark = LossModel(model), TOO_LONG
        self._model.check_tokenizer(source.tokenizer)
        self._alone = len(selection.rows) == 1
        self._without = 0

    def of(self, view: RowView) -> RowView:
        """Raises UsageError for a row that is too long and the only one asked for."""
        if self._alone or self._model.fits(view):
            return self._model.measure(view)
        self._without += 1
        return replace(view, marks=(*view.marks, self._mark))

    def said(self) -> Iterator[str]:
        """A warning, where rows were too long."""
        if self._without:
            are = "is" if self._without == 1 else "are"
            rows = counted(self._without, "row")
            yield warning(f"{rows} {are} longer than the model's context, and shown without losses")


def _refuse_shards(sources: Sequence[str]) -> None:
    """Raise UsageError for a file of a prepared folder: rows, and no records that become some."""
    for source in map(Path, sources):
        if source.suffix in (".parquet", ".arrow") and (source.parent / MANIFEST).is_file():
            raise UsageError(f"{source}: is a shard of a prepared folder; name the folder, {source.parent}")


def _begin(bar: Bar, source: AnySource, selection: Selection) -> Callable[[int], None]:
    if isinstance(source, RawData):
        return bar.by_bytes(source.progress)
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


def _shown(views: Iterable[RowView], view: str, screen: Screen) -> Iterator[str]:
    """The rows as text, each without a line break at its end."""
    from sftcli.view.views import VIEWS

    return (VIEWS[view](row, screen) for row in views)


def _compared(items: Iterator[Any], source: AnySource, other: Other, screen: Screen) -> Iterator[str]:
    from sftcli.view.diff import show_diff

    pairs = ((source.view(item), other.view(item)) for item in items)
    return (show_diff(left, right, other.names, screen, other.doubt) for left, right in pairs)
