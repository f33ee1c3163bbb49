"""Findings as annotations of GitHub Actions: workflow commands, one on a line."""

from collections.abc import Mapping
from typing import TextIO

from sftcli.findings.finding import Finding, Findings
from sftcli.findings.message import counted, shown
from sftcli.findings.text import summary
from sftcli.rules.rule import Rule
from sftcli.view.cells import one_line
from sftcli.view.page import Screen

# Of each kind and step; the rest stands in the log alone.
MOST_ANNOTATED = 10


def write_github(found: Findings, rules: Mapping[str, Rule], out: TextIO, screen: Screen) -> None:
    """Errors first, since GitHub shows the first ones alone; where it leaves some out, a notice says so."""
    plain = Screen(False, screen.width, screen.ascii_only)
    for finding in found.errors_first(rules):
        out.write(_command(finding, rules[finding.code], plain) + "\n")
    totals = {"error": found.total("error", rules), "warning": found.total("warning", rules)}
    for code, count in sorted(found.not_kept().items()):
        more = f"{count:,} more of {code}, not listed (--max-errors N lists more)"
        out.write(f"::{rules[code].severity} title={_title(rules[code])}::{_data(more)}\n")
    if max(totals.values()) > MOST_ANNOTATED:
        counts = " and ".join(counted(number, name) for name, number in totals.items() if number)
        said = f"{counts}: GitHub shows {MOST_ANNOTATED} of a kind, the log of this step has the rest"
        out.write(f"::notice title=sftcli::{_data(said)}\n")
    out.write(summary(found, rules, plain) + "\n")


def _command(finding: Finding, rule: Rule, screen: Screen) -> str:
    place = {"file": one_line(finding.file, screen.ascii_only), "line": finding.line, "col": finding.column}
    properties = [f"{name}={_property(str(value))}" for name, value in place.items() if value is not None]
    properties.append(f"title={_title(rule)}")
    return f"::{rule.severity} {','.join(properties)}::{_data(shown(finding.message, screen.ascii_only))}"


def _title(rule: Rule) -> str:
    return _property(f"{rule.code} {rule.name}")


def _data(text: str) -> str:
    """The escapes that GitHub's runner takes back."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
