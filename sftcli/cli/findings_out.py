"""Findings to where they were asked for: standard output, or a file."""

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from sftcli.cli.terminal import terminal, while_it_is_read
from sftcli.errors import EnvironmentFault
from sftcli.findings.finding import Findings
from sftcli.findings.formats import write_findings
from sftcli.findings.text import summary
from sftcli.rules.rule import Rule
from sftcli.view.page import Screen


def put_findings(
    found: Findings,
    rules: Mapping[str, Rule],
    format_: str,
    output: str | None,
    color: str = "auto",
    quiet: bool = False,
) -> None:
    """Write the findings to standard output or to the file `output`, which then is UTF-8.

    Where they go to a file, standard output says how many there are. `quiet`: nothing is said where
    nothing was found. The run goes on where nobody reads standard output any more. Raises
    EnvironmentFault where the file cannot be written.
    """
    screen = terminal(color)
    silent = quiet and not found.counts
    if output is None:
        with while_it_is_read():
            if not (silent and format_ in ("text", "github")):
                write_findings(found, rules, format_, sys.stdout, screen)
        return
    try:
        with Path(output).open("w", encoding="utf-8", errors="backslashreplace") as out:
            write_findings(found, rules, format_, out, Screen(False, screen.width))
    except OSError as problem:
        raise EnvironmentFault(f"{output}: cannot be written: {problem.strerror or problem}") from None
    with while_it_is_read():
        if not silent:
            click.echo(f"{summary(found, rules, screen)}; written to {output}", color=screen.color)


def exit_code(found: Findings, rules: Mapping[str, Rule], strict: bool) -> int:
    """1 where there are errors or, where `strict`, findings of any kind."""
    return int(bool(found.counts.total() if strict else found.total("error", rules)))
