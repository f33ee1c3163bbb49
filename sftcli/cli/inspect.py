"""sftcli inspect"""

from typing import Any

import click

from sftcli.cli.choice import Choice
from sftcli.cli.options import config_options

# As in sftcli.view.select and sftcli.view.views, which are loaded only where they are used.
ONLY = (
    "zero-trained", "truncated", "no-terminator", "straddle", "control-text",
    "longest", "shortest", "least-trained",
)  # fmt: skip
# The options in the sections of the help; --debug and --help come after them.
_SECTIONS = {
    "Which rows": "rows span split sample seed texts patterns only ids max_rows",
    "How they are shown": "view against loss format_ output color pager",
}
_SHARED = "How raw data becomes rows, as in `prepare`"
VIEWS = ("text", "table", "runs", "targets", "steps", "diff")


class _Command(click.Command):
    """Lists the options in sections: those that `prepare` has too would bury the others."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        named = {name: title for title, names in _SECTIONS.items() for name in names.split()}
        listed: dict[str, list[tuple[str, str]]] = {title: [] for title in (*_SECTIONS, _SHARED)}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                listed[named.get(param.name or "", _SHARED)].append(record)
        for title, records in listed.items():
            with formatter.section(title):
                formatter.write_dl(records)


@click.command(cls=_Command, epilog="Exit codes: 0 fine, 1 bad data, 2 usage, 3 environment, 4 a bug.")
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@click.option(
    "--row", "rows", type=int, multiple=True, metavar="N",
    help="Row N from 0, or from the end where it is negative (repeatable). [default: 0]",
)  # fmt: skip
@click.option(
    "--split", type=Choice(["train", "validation"]),
    help="Rows of this split of a prepared folder, counted from its first one.",
)  # fmt: skip
@click.option("--rows", "span", metavar="A:B", help="Rows A to B, as a slice in Python: 10:20, -5:, :.")
@click.option(
    "--sample", type=click.IntRange(1), metavar="K", help="K rows drawn by chance, none of them twice."
)
@click.option("--seed", type=int, default=0, metavar="S", help="Draws another sample. [default: 0]")
@click.option(
    "--find", "texts", multiple=True, metavar="TEXT",
    help="Rows whose text, template and data, holds TEXT, case as given (repeatable: all of them).",
)  # fmt: skip
@click.option(
    "--find-regex", "patterns", multiple=True, metavar="REGEX",
    help="Rows whose text REGEX matches somewhere; (?i) before it ignores case (repeatable: all of them).",
)  # fmt: skip
@click.option(
    "--only", type=Choice(ONLY), multiple=True, metavar="WHAT",
    help=f"Rows that are {', '.join(ONLY)} (repeatable).",
)  # fmt: skip
@click.option(
    "--id", "ids", multiple=True, metavar="VALUE",
    help="Records with this `id` (repeatable: any of them); KEY=VALUE looks at another key.",
)  # fmt: skip
@click.option(
    "--max-rows", type=click.IntRange(1), metavar="N",
    help="Show N rows at most. [default: 20 of a search, 1 of longest and the like]",
)  # fmt: skip
@click.option("--view", type=Choice(VIEWS), help="How a row is shown. [default: text]")
@click.option(
    "--against", multiple=True, metavar="KEY=VALUE",
    help="Side by side with the row under another option, such as template=chatml (repeatable), or, "
    "of a prepared folder, with the row of the same number in another FOLDER. As text only, without losses.",
)  # fmt: skip
@click.option("--loss", metavar="MODEL", help="Each token's loss under MODEL, a folder or a hub name.")
@click.option(
    "--format", "format_", type=Choice(["text", "json", "html"]),
    help="JSON is one object for a row, HTML one page for all. [default: text, or as FILE ends]",
)  # fmt: skip
@click.option("-o", "--output", "output", metavar="FILE", help="Write to FILE.")
@click.option("--color", type=Choice(["auto", "always", "never"]), default="auto", show_default=True)
@click.option("--pager/--no-pager", default=None, help="Page long output. [default: in a terminal]")
@config_options
def inspect(sources: tuple[str, ...], config: str | None, **options: Any) -> None:
    """Show which tokens of a row are trained.

    SOURCE is a prepared folder, or raw data with the options that `prepare` would get. What is asked
    of the rows must all hold; --row counts the records of raw data, bad ones included.

    \b
    sftcli inspect out --row -1
    sftcli inspect train.jsonl -t ./llama3 --template llama3 --view table
    sftcli inspect train.jsonl -t ./llama3 --only straddle --find Paris
    sftcli inspect train.jsonl -t ./llama3 --against train_on=last
    sftcli inspect out --sample 1000 -o rows.html
    """
    from sftcli.cli.asked import Asked
    from sftcli.cli.rows import show_rows

    asked = Asked(**{name: options.pop(name) for name in Asked.__annotations__})
    show_rows(sources, config, options, asked)
