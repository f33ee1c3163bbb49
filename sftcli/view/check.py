"""A template's check as text: aligned findings, a sample with its trained part, and a verdict."""

from collections.abc import Iterator
from typing import Any

from sftcli.check import Finding, Report
from sftcli.view.cells import one_line
from sftcli.view.page import Screen, page
from sftcli.view.template import control_pattern, hanging, piece_spans

# The word says it without colour. SGR parameters of the basic colours, as on the page.
_WORDS = {"ok": ("ok", "2;32"), "warning": ("warn", "1;33"), "error": ("ERROR", "1;31")}


def show_check(report: Report, screen: Screen) -> str:
    """The findings, the sample and the verdict, without a line break at the end."""
    subject = report.subject
    kind = "tokenizer's own chat template" if subject.own else f"{subject.kind} template"
    lines = [f"{one_line(subject.name, screen.ascii_only)}{screen.marks.dot}{kind}", ""]
    names = max(len(finding.name) for finding in report.findings)
    lines += [_finding(finding, names, screen) for finding in report.findings]
    control = control_pattern(list(subject.tokenizer.control_tokens))
    for heading, row in report.sample:
        lines += ["", *([one_line(heading, screen.ascii_only)] if heading else [])]
        lines += page(piece_spans(row, control), screen)
    if report.sample:
        legend = screen.paint("trained by default", "text", True)
        lines += ["", legend if screen.color else f"T = {legend}"]
    return "\n".join([*lines, "", _verdict(report, screen)])


def _finding(finding: Finding, names: int, screen: Screen) -> str:
    word, style = _WORDS[finding.level]
    said = f"{finding.value}: {finding.message}" if finding.message else finding.value
    text = hanging(f"{word:<5}  {finding.name:<{names}}  ", one_line(said, screen.ascii_only), screen.width)
    return _coloured(word, style, screen) + text.removeprefix(word)


def _coloured(text: str, style: str, screen: Screen) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if screen.color else text


def _verdict(report: Report, screen: Screen) -> str:
    passed = len(report.findings) - report.errors - report.warnings
    errors = _count(report.errors, "ERROR" if report.errors else "error")
    counts = f"{passed} ok, {_count(report.warnings, 'warning')}, {errors}"
    if report.errors:
        return f"{counts}: {_coloured('training with it would go wrong', _WORDS['error'][1], screen)}"
    if report.warnings:
        return f"{counts}: {_coloured('mind the warnings', _WORDS['warning'][1], screen)}"
    return f"{counts}: nothing stands against it"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 'S' if thing.isupper() else 's'}"


def check_json(report: Report) -> dict[str, Any]:
    """Plain data; `sample` holds rows as pieces of text and is empty where nothing renders."""
    return {
        "template": report.subject.name,
        "tokenizer": report.subject.tokenizer.name,
        "findings": [finding._asdict() for finding in report.findings],
        "sample": list(_sample(report)),
    }


def _sample(report: Report) -> Iterator[dict[str, Any]]:
    for heading, row in report.sample:
        pieces = [
            {
                "text": piece.text,
                "origin": "content" if piece.content else "template",
                "trained": piece.trained,
                "turn": piece.turn if piece.turn >= 0 else None,
                "role": piece.role or None,
            }
            for piece in row.pieces
        ]
        yield {"heading": heading, "pieces": pieces}
