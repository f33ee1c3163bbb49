"""Findings for a person: `file:line:column: code message`, and a line that sums them up."""

from collections.abc import Mapping
from typing import TextIO

from sftcli.findings.finding import Finding, Findings
from sftcli.findings.message import counted, shown
from sftcli.rules.rule import Rule
from sftcli.view.cells import fenced, one_line
from sftcli.view.page import Screen

_STYLES = {"error": "1;31", "warning": "1;33"}
_BOLD = "1"
_GOOD = "1;32"


def write_text(found: Findings, rules: Mapping[str, Rule], out: TextIO, screen: Screen) -> None:
    for finding in found.kept:
        out.write(_line(finding, rules[finding.code], screen) + "\n")
    out.write(summary(found, rules, screen) + "\n")


def _line(finding: Finding, rule: Rule, screen: Screen) -> str:
    place = one_line(finding.place, screen.ascii_only)
    # Without colour a word must tell what fails a run from what does not.
    word = "warning: " if rule.severity == "warning" else ""
    message = fenced(shown(finding.message, screen.ascii_only))
    code = screen.styled(rule.code, _STYLES[rule.severity])
    return f"{screen.styled(fenced(place), _BOLD)}: {code} {word}{message}"


def summary(found: Findings, rules: Mapping[str, Rule], screen: Screen) -> str:
    """How many were found in how much, and what was not shown."""
    errors, warnings = found.total("error", rules), found.total("warning", rules)
    judged = f"{counted(found.records, found.noun)} in {counted(len(found.files), 'file')}"
    judged = "; ".join([judged, *(one_line(note, screen.ascii_only) for note in found.notes)])
    if not errors and not warnings:
        return f"{screen.styled('All checks passed', _GOOD)}: {judged}"
    parts = [
        screen.styled(counted(number, severity), _STYLES[severity])
        for severity, number in (("error", errors), ("warning", warnings))
        if number
    ]
    line = f"{', '.join(parts)}: {judged}"
    hidden = found.not_kept().total()
    if found.partial:
        return f"{line}, by the time reading stopped (--max-errors N reads on)"
    return line + (f"; {len(found.kept):,} shown (--max-errors N shows more)" if hidden else "")
