"""sftcli stats"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sftcli.cli.choice import Choice
from sftcli.cli.options import config_flags, config_options, refuse_row_options

if TYPE_CHECKING:
    from sftcli.cli.show import Bar
    from sftcli.stats.figures import Figures
    from sftcli.stats.measure import Measured
    from sftcli.view.page import Screen

_PAGE_WIDTH = 100  # of the text in an HTML page
_MOST_TOKENS, _MOST_ROWS = 2**31 - 1, 2**16  # of a limit, of a batch


def _numbers(most: int) -> Callable[[click.Context, click.Parameter, str | None], tuple[int, ...] | None]:
    """What reads an option's whole numbers between commas, from 1 to `most`: each once, in order."""

    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
        if value is None:
            return None
        try:
            numbers = {int(part) for part in value.split(",")}
        except ValueError:
            problem = f"{value!r} is not whole numbers between commas, such as 8,32"
            raise click.BadParameter(problem, ctx, param) from None
        if min(numbers) < 1 or max(numbers) > most:
            raise click.BadParameter(f"{value!r}: expected numbers from 1 to {most:,}", ctx, param)
        return tuple(sorted(numbers))

    return read


@click.command(epilog="Exit codes: 0 fine, 1 bad data, 2 usage, 3 environment, 4 a bug.")
@click.argument("sources", nargs=-1, metavar="SOURCE [SOURCE]")
@click.option(
    "--pack-length",
    type=click.IntRange(1),
    metavar="N",
    help="Pack into sequences of N tokens. [default: the least usual length that no row exceeds, or 4096]",
)
@click.option(
    "--limits",
    callback=_numbers(_MOST_TOKENS),
    metavar="N,N,...",
    help="The maximum lengths to try. [default: 512 to 16384, from 64 where all rows are short]",
)
@click.option(
    "--batch-size",
    "batches",
    callback=_numbers(_MOST_ROWS),
    metavar="N,N,...",
    default="8,32",
    show_default=True,
    help="Rows in a batch, of which padding is counted.",
)
@click.option("--plot", metavar="FILE", help="Draw the lengths and the trained shares: .png, .svg or .html.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
@click.option("--color", type=Choice(["auto", "always", "never"]), default="auto", show_default=True)
@click.option("--progress/--no-progress", default=None, help="Show a bar. [default: in a terminal]")
@config_options
def stats(
    sources: tuple[str, ...],
    pack_length: int | None,
    limits: tuple[int, ...] | None,
    batches: tuple[int, ...],
    plot: str | None,
    as_json: bool,
    color: str,
    progress: bool | None,
    config: str | None,
    **flags: Any,
) -> None:
    """Show what a data set is like, or compare two.

    SOURCE is a prepared folder, or raw data with the options that `prepare` would get. Bad records
    are counted; nothing is written.

    \b
    sftcli stats out
    sftcli stats train.jsonl -t ./llama3 --template llama3 --plot lengths.svg
    sftcli stats old.jsonl new.jsonl -t ./llama3
    """
    from sftcli.cli.output_file import check_output_file
    from sftcli.cli.terminal import terminal, warning
    from sftcli.stats.figures import figures
    from sftcli.view.cells import one_line

    if len(sources) > 2:
        raise click.UsageError("one source is shown, and two are compared; name files of one with a pattern")
    if plot is not None:
        from sftcli.stats.plot import check_plot

        check_plot(plot)  # before a long run, not after it
        check_output_file("--plot", plot, [*sources, config, flags["tokenizer"], flags["template"]])
    measured = _measured(sources, progress, config, flags)
    found = figures(measured, pack_length, limits, batches)
    for text in (text for one in measured for text in one.warnings):
        click.echo(warning(text), err=True)
    screen = terminal(color)
    if as_json:
        click.echo(json.dumps(_json(found), ensure_ascii=screen.ascii_only))
    else:
        click.echo(_page(found, screen), color=screen.color)
    if plot is not None:
        from sftcli.stats.plot import save_plot
        from sftcli.view.page import Screen

        save_plot(measured, found, plot, _page(found, Screen(color=False, width=_PAGE_WIDTH)))
        click.echo(f"plot: {one_line(plot)}", err=True)  # the page or the JSON alone is on stdout


def _measured(
    sources: tuple[str, ...], progress: bool | None, config: str | None, flags: dict[str, Any]
) -> "list[Measured]":
    from sftcli.cli import show

    folders = [source for source in sources if Path(source).is_dir()]
    if sources and len(folders) == len(sources):
        refuse_row_options(folders[0], config, flags)
    with show.Bar(sys.stderr.isatty() if progress is None else progress, "stats") as bar:
        return [_measure(source, bar, config, flags) for source in sources or (None,)]


def _measure(source: str | None, bar: "Bar", config: str | None, flags: dict[str, Any]) -> "Measured":
    if source is not None and Path(source).is_dir():
        from sftcli.stats.prepared import measure_prepared

        return measure_prepared(Path(source), lambda rows: bar.begin(rows, "row"))
    from sftcli.config import load_config
    from sftcli.fastload import warm_up

    loaded = load_config(config, {"inputs": [source] if source else [], **config_flags(flags)})
    if loaded.encoder != "tokenizers":
        warm_up(loaded.tokenizer, loaded.inputs)  # beside the imports that follow
    from sftcli.stats.raw import measure_raw

    return measure_raw(loaded, source or " ".join(loaded.inputs), bar.start)


def _page(found: "list[Figures]", screen: "Screen") -> str:
    if len(found) == 2:
        from sftcli.stats.compare import show_comparison

        return show_comparison(found[0], found[1], screen)
    from sftcli.cli.show import NOTES
    from sftcli.stats.text import show_stats

    return show_stats(found[0], screen, NOTES)


def _json(found: "list[Figures]") -> dict[str, Any]:
    """One source's figures, or those of both and, by key, how much they differ."""
    if len(found) == 1:
        return found[0].as_json()
    from sftcli.stats.compare import compare

    differences = {one.key: one.difference for one in compare(found[0], found[1])}
    return {"sources": [one.as_json() for one in found], "difference": differences}
