"""sftcli rules"""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from sftcli.cli.choice import Choice
from sftcli.cli.options import color_option, debug_option

if TYPE_CHECKING:
    from sftcli.rules.rule import Rule
    from sftcli.view.page import Screen

_STYLES = {"error": "1;31", "warning": "1;33"}
_INDENT = len("J001  warning  ")
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
@click.argument("codes", nargs=-1, metavar="[CODE]...")
@click.option("--format", "format_", type=Choice(["text", "json", "markdown"]), default="text")
@color_option
@debug_option
def rules(codes: tuple[str, ...], format_: str, color: str) -> None:
    """List the rules of `validate` and `verify`, or explain some.

    CODE is a rule's code or its name; a beginning such as D or J00 lists the rules that begin so.

    \b
    sftcli rules
    sftcli rules D
    sftcli rules C012 open_fence
    """
    from sftcli.cli.terminal import terminal
    from sftcli.rules import folder
    from sftcli.rules.catalogue import FAMILIES, OF_PREPARE, RULES

    families = {**FAMILIES, "V": "a prepared folder"}
    known = {**RULES, **OF_PREPARE, **{rule.code: rule for rule in folder.RULES}}
    chosen, is_list = _chosen(codes, known)
    screen = terminal(color)
    if format_ == "json":
        from msgspec import to_builtins

        click.echo(json.dumps([to_builtins(rule) for rule in chosen], indent=2))
    elif format_ == "markdown":
        click.echo("\n".join(_page(chosen, families)))
    elif is_list:
        click.echo("\n".join(_table(chosen, families, screen)), color=screen.color)
    else:
        pages = ("\n".join(_explained(rule, screen)) for rule in chosen)
        click.echo("\n\n\n".join(pages), color=screen.color)


def _chosen(codes: Sequence[str], known: Mapping[str, "Rule"]) -> tuple[list["Rule"], bool]:
    """The rules that are meant, and whether they are to be listed: all of them, or a family."""
    from sftcli.rules.catalogue import find_rule

    chosen: dict[str, Rule] = {}
    is_list = not codes
    for text in codes:
        family = [
            rule for code, rule in known.items() if code != text.upper() and code.startswith(text.upper())
        ]
        is_list = is_list or bool(family)
        chosen |= {rule.code: rule for rule in family or [find_rule(text, known)]}
    return list(chosen.values()) if codes else list(known.values()), is_list


def _table(rules: Sequence["Rule"], families: Mapping[str, str], screen: "Screen") -> Iterator[str]:
    room = max(screen.width - _INDENT, 40)
    for letter, what in families.items():
        members = [rule for rule in rules if rule.code[0] == letter]
        if not members:
            continue
        yield screen.styled(f"{letter}  {what}", "1")
        for rule in members:
            off = "" if rule.default else " Off by default."
            head, *rest = textwrap.wrap(f"{rule.name}: {rule.summary}{off}", room)
            yield f"{screen.styled(f'{rule.code}  {rule.severity:<7}', _STYLES[rule.severity])}  {head}"
            yield from (f"{'':<{_INDENT}}{line}" for line in rest)
        yield ""
    yield "`sftcli rules CODE` explains one."


def _explained(rule: "Rule", screen: "Screen") -> Iterator[str]:
    off = ", off by default" if not rule.default else ""
    yield f"{screen.styled(rule.code, _STYLES[rule.severity])} {rule.name} ({rule.severity}{off})"
    yield from ("", *textwrap.wrap(f"{rule.summary} {rule.cure}", screen.width))
    for title, example in (("Breaks it", rule.example), ("Does not", rule.instead)):
        if example:
            given = f", with {rule.options}" if rule.options else ""
            yield from ("", f"{title}{given}:", *(f"  {line}" for line in _shown(example)))


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

    # A lone surrogate of these is a byte that is no text.
    shown = "".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else c for c in example)
    return [one_line(line) for line in shown.split("\n")]
