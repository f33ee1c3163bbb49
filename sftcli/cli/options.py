"""Options that several commands share, and how they become a Config."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from sftcli.cli.choice import Choice
from sftcli.errors import ConfigError, UsageError

_EXAMPLES = {
    "--field": "--field output=answer",
    "--template-arg": "--template-arg enable_thinking=false",
    "--loss-weight": "--loss-weight user=0.1",
    "--against": "--against template=chatml",
    "--fail-over": "--fail-over T001=1%",
}
F = TypeVar("F", bound=Callable[..., Any])


color_option = click.option(
    "--color", type=Choice(["auto", "always", "never"]), default="auto", show_default=True
)
progress_option = click.option(
    "--progress/--no-progress", default=None, help="Show a bar. [default: in a terminal]"
)
_format_option = click.option(
    "--format",
    "format_",
    type=Choice(["text", "json", "jsonl", "github", "junit", "sarif"]),
    default="text",
    show_default=True,
    help="How findings are written.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="The same as --format json.")


def findings_options(command: F) -> F:
    """--format and --json of findings, as `sftcli.findings.formats` has them."""
    return _format_option(_json_option(command))


def debug() -> bool:
    """Whether --debug was given, also where the command line failed before it was read."""
    return "--debug" in sys.argv[1:]


def debug_option(command: F) -> F:
    return click.option("--debug", is_flag=True, expose_value=False, help="Show a traceback on errors.")(
        command
    )


def config_options(command: F) -> F:
    """Every option that says how a record becomes tokens; all of them can stand in --config."""
    from sftcli.cli.row_options import FILES, LENGTH, MASK, RECORDS, TEMPLATE, TOKENIZER

    for option in reversed((*FILES, *TEMPLATE, *RECORDS, *MASK, *LENGTH, *TOKENIZER, debug_option)):
        command = option(command)
    return command


def config_flags(flags: dict[str, Any]) -> dict[str, Any]:
    """Flags as the values of a Config; what was not given stays None or empty."""
    arguments = key_values(flags["template_args"], "--template-arg")
    return {
        **flags,
        "field": key_values(flags["field"], "--field"),
        "template_args": {name: typed(text) for name, text in arguments.items()},
        "loss_weight": _numbers(key_values(flags["loss_weight"], "--loss-weight"), "--loss-weight"),
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


def split_list(texts: Sequence[str], flag: str) -> list[str]:
    """("C,J001", "R") as single selectors. Raises UsageError where a text names none."""
    found = []
    for text in texts:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not parts:
            raise UsageError(f"{flag} {text!r}: names no rule; leave the option out, or see `sftcli rules`")
        found += parts
    return found


def typed(text: str) -> Any:
    """true, false, null, a number, a list or an object as in JSON; anything else is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _numbers(texts: Mapping[str, str], flag: str) -> dict[str, float]:
    """Raises ConfigError for what is no number."""
    found: dict[str, float] = {}
    for name, text in texts.items():
        try:
            found[name] = float(text)
        except ValueError:
            raise ConfigError(f"{flag} {name}={text}: expected a number, such as {_EXAMPLES[flag]}") from None
    return found


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
