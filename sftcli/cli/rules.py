"""sftcli rules"""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from sftcli.cli.options import debug_option

if TYPE_CHECKING:
    from sftcli.rules.rule import Rule
    from sftcli.view.page import Screen

_STYLES = {"error": "1;31", "warning": "1;33"}
_INTRO = """\
# Rules

`sftcli validate` judges raw data by the families {raw}, and `sftcli verify` a prepared folder by V.
A code never changes its meaning. `--select`, `--extend-select` and `--ignore` take codes, beginnings of
codes (`C`, `J00`) and names; `[tool.sftcli]` in pyproject.toml and `--config` take them too. An error fails
a run, a warning does with `--strict`. What is off by default is on where its whole code or its name is given.

Examples are lines of a file, or shell commands that write one. A byte that is not UTF-8 is shown as
`\\xe9`, an invisible character as `\\ufeff`.

This page is what `sftcli rules --format markdown` prints.
"""


@click.command(epilog="Exit codes: 0 fine, 2 usage.")
@click.argument("code", required=False)
@click.option("--format", "format_", type=click.Choice(["text", "json", "markdown"]), default="text")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True)
@debug_option
def rules(code: str | None, format_: str, color: str) -> None:
    """List the rules of `validate` and `verify`, or explain one.

    \b
    sftcli rules
    sftcli rules C012
    """
    from sftcli.cli.terminal import terminal
    from sftcli.rules import folder
    from sftcli.rules.catalogue import FAMILIES, RULES, find_rule

    families = {**FAMILIES, "V": "a prepared folder"}
    known = {**RULES, **{rule.code: rule for rule in folder.RULES}}
    chosen = [find_rule(code, known)] if code is not None else list(known.values())
    screen = terminal(color)
    if format_ == "json":
        from msgspec import to_builtins

        click.echo(json.dumps([to_builtins(rule) for rule in chosen], indent=2))
    elif format_ == "markdown":
        click.echo("\n".join(_page(chosen, families)))
    elif code is not None:
        click.echo("\n".join(_explained(chosen[0], screen)), color=screen.color)
    else:
        click.echo("\n".join(_table(chosen, families, screen)), color=screen.color)


def _table(rules: Sequence["Rule"], families: Mapping[str, str], screen: "Screen") -> Iterator[str]:
    room = max(screen.width - 6, 40)
    for letter, what in families.items():
        yield screen.styled(f"{letter}  {what}", "1")
        for rule in (rule for rule in rules if rule.code[0] == letter):
            off = "" if rule.default else " Off by default."
            head, *rest = textwrap.wrap(f"{rule.name}: {rule.summary}{off}", room)
            yield f"{screen.styled(rule.code, _STYLES[rule.severity])}  {head}"
            yield from (f"      {line}" for line in rest)
        yield ""
    yield "`sftcli rules CODE` explains one."


def _explained(rule: "Rule", screen: "Screen") -> Iterator[str]:
    off = ", off by default" if not rule.default else ""
    yield f"{screen.styled(rule.code, _STYLES[rule.severity])} {rule.name} ({rule.severity}{off})"
    yield from ("", *textwrap.wrap(rule.summary, screen.width))
    for title, example in (("Breaks it", rule.example), ("Does not", rule.instead)):
        if example:
            given = f", with {rule.options}" if rule.options else ""
            yield from ("", f"{title}{given}:", *(f"  {line}" for line in _shown(example)))
    yield from ("", *textwrap.wrap(rule.cure, screen.width))


def _page(rules: Sequence["Rule"], families: Mapping[str, str]) -> Iterator[str]:
    yield _INTRO.format(raw=", ".join([letter for letter in families if letter != "V"]))
    for letter, what in families.items():
        yield f"## {letter}: {what}\n"
        yield "| code | name | | |\n|---|---|---|---|"
        members = [rule for rule in rules if rule.code[0] == letter]
        for rule in members:
            severity = rule.severity if rule.default else f"{rule.severity}, off by default"
            yield f"| [{rule.code}](#{rule.code.lower()}) | `{rule.name}` | {severity} | {rule.summary} |"
        for rule in members:
            yield f'\n<a id="{rule.code.lower()}"></a>\n### {rule.code} {rule.name}\n'
            yield f"{rule.summary} {rule.cure}\n"
            yield from _fenced(rule)
        yield ""


def _fenced(rule: "Rule") -> Iterator[str]:
    given = f"# sftcli validate ... {rule.options}\n" if rule.options else ""
    yield f"```\n{given}" + "\n".join(_shown(rule.example)) + "\n```"
    if rule.instead:
        yield "\nInstead:\n\n```\n" + "\n".join(_shown(rule.instead)) + "\n```"


def _shown(example: str) -> list[str]:
    """An example's lines; what is no character, or cannot be seen, is written out."""
    from sftcli.view.cells import one_line

    lines = example.split("\n")
    return [
        "".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else c for c in one_line(line))
        for line in lines
    ]
