"""Findings for a person: `file:line:column: error: code name: message`, and what they come to."""

from collections.abc import Mapping
from typing import TextIO

from sftcli.findings.finding import Finding, Findings
from sftcli.findings.message import counted, shown
from sftcli.rules.rule import Rule
from sftcli.view.cells import fenced, one_line, width_of
from sftcli.view.page import Screen

_STYLES = {"error": "1;31", "warning": "1;33"}
_BOLD = "1"
_GOOD = "1;32"
_INDENT = "    "


def write_text(found: Findings, rules: Mapping[str, Rule], out: TextIO, screen: Screen) -> None:
    """One finding a line, but that a terminal gets long ones broken between words."""
    room = screen.width if out.isatty() else None
    for finding in found.kept:
        out.write(_line(finding, rules[finding.code], screen, room) + "\n")
    out.write(summary(found, rules, screen) + "\n")
    if found.counts:
        out.write("`sftcli rules CODE` explains a rule.\n")


def _line(finding: Finding, rule: Rule, screen: Screen, room: int | None) -> str:
    # Without colour a word must tell what fails a run from what does not.
    style = _STYLES[rule.severity]
    head = (
        (f"{fenced(one_line(finding.place, screen.ascii_only))}:", _BOLD),
        (f"{rule.severity}:", style),
        (rule.code, style),
        (f"{rule.name}:", ""),
    )
    message = fenced(shown(finding.message, screen.ascii_only))
    line = " ".join(screen.styled(word, style) if style else word for word, style in head)
    if room is None:
        return f"{line} {message}"
    used = sum(width_of(word) + 1 for word, _ in head) - 1
    for word in message.split(" "):
        width = width_of(word)
        fits = used + 1 + width <= room
        line, used = (f"{line} {word}", used + 1) if fits else (f"{line}\n{_INDENT}{word}", len(_INDENT))
        used += width
    return line


def summary(found: Findings, rules: Mapping[str, Rule], screen: Screen) -> str:
    """How many were found in how much, where the first error is, and what was not shown."""
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
    if found.partial:
        line += ", by the time reading stopped (--max-errors N reads on)"
    elif found.not_kept():
        line += f"; {len(found.kept):,} shown (--max-errors N shows more)"
    first = next((one for one in found.kept if rules[one.code].severity == "error"), None)
    if first is not None and found.counts.total() > 1:
        line += f"; the first error: {one_line(first.place, screen.ascii_only)}"
    return line
