"""sftcli inspect"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sftcli.cli.options import config_flags, config_options

if TYPE_CHECKING:
    from sftcli.view.row import RowView


@click.command()
@click.argument("source", required=False)
@click.option("--row", "rows", type=int, multiple=True, metavar="N", help="Which row, from 0. [default: 0]")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True)
@config_options
def inspect(
    source: str | None, rows: tuple[int, ...], format_: str, color: str, config: str | None, **flags: Any
) -> None:
    """Show which tokens of a row are trained.

    SOURCE is a prepared folder, or raw data with the options that `prepare` would get.

    \b
    sftcli inspect out --row 7
    sftcli inspect train.jsonl -t ./llama3 --template llama3 --format json
    """
    from sftcli.cli.terminal import terminal
    from sftcli.view.json import row_json
    from sftcli.view.text import show_row

    screen = terminal(color)
    for number, view in enumerate(_views(source, rows or (0,), config, flags)):
        if format_ == "json":
            click.echo(json.dumps(row_json(view), ensure_ascii=False))
        else:
            text = show_row(view, screen.color, screen.width, screen.ascii_only)
            click.echo("\n" * bool(number) + text, color=screen.color)


def _views(
    source: str | None, rows: tuple[int, ...], config: str | None, flags: dict[str, Any]
) -> "Iterator[RowView]":
    if source is not None and Path(source).is_dir():
        from sftcli.errors import UsageError
        from sftcli.view.dataset import Dataset

        names = {"add_special_tokens": "add-special-token", "template_args": "template-arg"}
        given = [
            f"--{names.get(name, name.replace('_', '-'))}"
            for name, value in flags.items()
            if value not in (None, ())
        ]
        if given or config:
            raise UsageError(
                f"{(given or ['--config'])[0]}: {source} is a prepared folder, whose manifest says how its "
                "rows were made; leave the option out, or name raw data"
            )
        dataset = Dataset(Path(source))
        yield from (dataset.row(number) for number in rows)
        return
    from sftcli.config import load_config
    from sftcli.view.raw import RawData

    loaded = load_config(config, {"inputs": [source] if source else [], **config_flags(flags)})
    for view, dropped in RawData(loaded).rows(rows):
        yield view
        if dropped:
            click.echo(f"note: prepare would drop this row: {dropped}", err=True)
