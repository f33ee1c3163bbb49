"""Findings -> text of a format: the formats by name, and those for programs."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from sftcli import __version__
from sftcli.findings.finding import Finding, Findings
from sftcli.findings.github import write_github
from sftcli.findings.junit import write_junit
from sftcli.findings.sarif import write_sarif
from sftcli.findings.text import write_text
from sftcli.rules.rule import Rule
from sftcli.view.page import Screen

Rules = Mapping[str, Rule]
JSON_VERSION = 1  # of the shape of json and jsonl: keys may be added to it, and none change


def write_findings(found: Findings, rules: Rules, format_: str, out: TextIO, screen: Screen) -> None:
    """Write what was found, in one of FORMATS.

    `rules` holds the rule of every code that was found. Whatever data says, the output stays what
    it is: JSON and XML stay well-formed, and no line becomes a command to a terminal or a CI system.
    All but text and github is plain ASCII.
    """
    FORMATS[format_](found, rules, out, screen)


def write_json(found: Findings, rules: Rules, out: TextIO, _screen: Screen) -> None:
    """One object: what was found, how often, and in what."""
    # The findings may be many: one by one they need no second copy in memory.
    out.write(f'{{"version": {JSON_VERSION}, "sftcli": {_dumped(__version__)}, "findings": [')
    for index, finding in enumerate(found.kept):
        out.write(("," if index else "") + "\n  " + _dumped(as_json(finding, rules)))
    rest = {
        "counts": dict(sorted(found.counts.items())),
        "errors": found.total("error", rules),
        "warnings": found.total("warning", rules),
        "not_listed": found.not_kept().total(),
        f"{found.noun}s": found.records,
        "files": found.files,
        "partial": found.partial,
        "notes": found.notes,
    }
    out.write(("\n" if found.kept else "") + f"], {_dumped(rest)[1:]}\n")


def write_jsonl(found: Findings, rules: Rules, out: TextIO, _screen: Screen) -> None:
    """One finding a line, and nothing else."""
    for finding in found.kept:
        out.write(_dumped(as_json(finding, rules)) + "\n")


def as_json(finding: Finding, rules: Rules) -> dict[str, Any]:
    """A finding as json and jsonl hold it; `line` and `column` are null where the file is meant."""
    rule = rules[finding.code]
    return {
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "code": finding.code,
        "name": rule.name,
        "severity": rule.severity,
        "message": finding.message,
    }


def _dumped(data: Any) -> str:
    """JSON in ASCII that every parser takes and no CI system acts on.

    A lone surrogate is no character (in a file's name it stands for a byte that is no UTF-8), and
    parsers differ over it: it is written out as text. `##` is how Azure's commands begin.
    """
    return json.dumps(_without_surrogates(data)).replace("##", "#\\u0023")


def _without_surrogates(data: Any) -> Any:
    if isinstance(data, str):
        return data.encode("utf-8", "backslashreplace").decode()
    if isinstance(data, dict):
        return {key: _without_surrogates(value) for key, value in data.items()}
    return [_without_surrogates(value) for value in data] if isinstance(data, list) else data


FORMATS: dict[str, Callable[[Findings, Rules, TextIO, Screen], None]] = {
    "text": write_text,
    "json": write_json,
    "jsonl": write_jsonl,
    "github": write_github,
    "junit": write_junit,
    "sarif": write_sarif,
}
