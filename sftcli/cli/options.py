"""Options that several commands share, and how they become a Config."""

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from sftcli.errors import ConfigError, UsageError

_EXAMPLES = {
    "--field": "--field output=answer",
    "--template-arg": "--template-arg enable_thinking=false",
    "--against": "--against template=chatml",
    "--fail-over": "--fail-over T001=1%",
}
F = TypeVar("F", bound=Callable[..., Any])

RECORD_FORMATS = (
    "auto", "alpaca", "prompt_completion", "messages", "sharegpt", "segments", "text", "fields",
)  # fmt: skip


def debug() -> bool:
    """Whether --debug was given, also where the command line failed before it was read."""
    return "--debug" in sys.argv[1:]


def debug_option(command: F) -> F:
    return click.option("--debug", is_flag=True, expose_value=False, help="Show a traceback on errors.")(
        command
    )


def config_options(command: F) -> F:
    """Every option that says how a record becomes tokens; all of them can stand in --config."""
    options = [
        click.option("--config", metavar="FILE", help="Read options from a YAML file; flags win over it."),
        click.option(
            "-t", "--tokenizer", metavar="NAME", help="A folder, a tokenizer.json, a hub name, or `demo`."
        ),
        click.option(
            "--template",
            metavar="NAME",
            help="A built-in name, a .yaml or .jinja file, or `tokenizer` for its own chat template.",
        ),
        click.option(
            "--template-arg",
            "template_args",
            multiple=True,
            metavar="KEY=VALUE",
            help="A chat template's own variable, such as enable_thinking=false (repeatable).",
        ),
        click.option(
            "--spans",
            type=click.Choice(["auto", "derived", "marks"]),
            help="Prove a chat template's trained spans, or take its generation marks. [default: auto]",
        ),
        click.option(
            "--injected",
            type=click.Choice(["train", "mask"]),
            help="An empty think block that a chat template puts into an answer. [default: train]",
        ),
        click.option(
            "--record-format", type=click.Choice(RECORD_FORMATS), help="The records' shape. [default: auto]"
        ),
        click.option(
            "--field", multiple=True, metavar="NAME=KEY", help="Read field NAME from the record's KEY."
        ),
        click.option("--system", metavar="TEXT", help="The system text of records that have none."),
        click.option(
            "--train-on",
            type=click.Choice(["assistant", "last", "all"]),
            help="Which turns are trained. [default: assistant]",
        ),
        click.option(
            "--train-on-eos",
            type=click.Choice(["turn", "last", "none", "all"]),
            help="Which turns' terminators are trained. [default: turn]",
        ),
        click.option("--max-length", type=int, metavar="N", help="The most tokens a row may have."),
        click.option(
            "--truncation", type=click.Choice(["drop"]), help="What becomes of a longer row. [default: drop]"
        ),
        click.option(
            "--limit",
            type=int,
            metavar="N",
            help="Stop after N records; compressed input is then not checked to its end.",
        ),
        click.option(
            "--add-special-token",
            "add_special_tokens",
            multiple=True,
            metavar="TEXT",
            help="Make TEXT a control token of the tokenizer (repeatable).",
        ),
        *(
            click.option(f"--{name}-token", metavar="TEXT", help=f"Make TEXT the tokenizer's {name} token.")
            for name in ("bos", "eos", "pad", "sep")
        ),
        click.option(
            "--encoder",
            type=click.Choice(["auto", "fastokens", "tokenizers"]),
            help="The tokenizing engine; all give the same ids. [default: auto]",
        ),
        debug_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def config_flags(flags: dict[str, Any]) -> dict[str, Any]:
    """Flags as the values of a Config; what was not given stays None or empty."""
    arguments = key_values(flags["template_args"], "--template-arg")
    return {
        **flags,
        "field": key_values(flags["field"], "--field"),
        "template_args": {name: typed(text) for name, text in arguments.items()},
    }


def refuse_row_options(folder: str, config: str | None, flags: dict[str, Any]) -> None:
    """Raise UsageError where an option says how rows are made, of a folder in which they are."""
    names = {"add_special_tokens": "add-special-token", "template_args": "template-arg"}
    given = [name for name, value in {**flags, "config": config}.items() if value not in (None, ())]
    if given:
        flag = names.get(given[0], given[0].replace("_", "-"))
        raise UsageError(
            f"--{flag}: {folder} is a prepared folder, whose manifest says how its rows were made; "
            "leave the option out, or name raw data"
        )


def split_list(texts: Sequence[str]) -> list[str]:
    """("C,J001", "R") as single selectors."""
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def typed(text: str) -> Any:
    """true, false, null, a number, a list or an object as in JSON; anything else is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def key_values(pairs: tuple[str, ...], flag: str) -> dict[str, str]:
    """("a=b", ...) as a dict. Raises ConfigError for a pair without `=` or a name given twice."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise ConfigError(f"{flag} {pair!r}: expected two parts, such as {_EXAMPLES[flag]}")
        if name in found:
            raise ConfigError(f"{flag} {name}: given twice")
        found[name] = value
    return found
