"""Findings as a JUnit report: a suite for each file, a test case for each rule that was broken in it."""

from collections.abc import Mapping
from typing import NamedTuple, TextIO

from sftcli.findings.finding import Findings
from sftcli.findings.message import shown
from sftcli.rules.rule import Rule
from sftcli.view.cells import one_line
from sftcli.view.page import Screen

_NOT_LISTED = "not listed"


class _Case(NamedTuple):
    """A broken rule, and a line for each time that it was."""

    rule: Rule
    lines: list[str]


def write_junit(found: Findings, rules: Mapping[str, Rule], out: TextIO, _screen: Screen) -> None:
    """A file without findings is a suite with one case that passes.

    Errors are failures. A case of warnings passes, and holds them as its output. Findings that
    were not kept are counted in a suite of their own, so that no report is greener than its run.
    """
    suites: dict[str, dict[str, _Case]] = {file: {} for file in found.files}
    for finding in found.kept:
        cases = suites.setdefault(finding.file, {})
        line = f"{one_line(finding.place)}: {finding.code} {shown(finding.message)}"
        cases.setdefault(finding.code, _Case(rules[finding.code], [])).lines.append(line)
    for code, count in sorted(found.not_kept().items()):
        line = f"{count:,} more of {code} (--max-errors N lists more)"
        suites.setdefault(_NOT_LISTED, {})[code] = _Case(rules[code], [line])
    tests = sum(max(len(cases), 1) for cases in suites.values())
    failures = sum(map(_failures, suites.values()))
    out.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    out.write(f'<testsuites name="sftcli" tests="{tests}" failures="{failures}" errors="0">\n')
    for name, cases in suites.items():
        _write_suite(name, cases, out)
    out.write("</testsuites>\n")


def _failures(cases: Mapping[str, _Case]) -> int:
    return sum(case.rule.severity == "error" for case in cases.values())


def _write_suite(name: str, cases: Mapping[str, _Case], out: TextIO) -> None:
    quoted = _attribute(one_line(name))
    counts = f'tests="{max(len(cases), 1)}" failures="{_failures(cases)}" errors="0" skipped="0"'
    out.write(f"  <testsuite name={quoted} {counts}>\n")
    for case in cases.values():
        _write_case(quoted, case, out)
    if not cases:
        out.write(f'    <testcase classname={quoted} name="no findings"/>\n')
    out.write("  </testsuite>\n")


def _write_case(suite: str, case: _Case, out: TextIO) -> None:
    out.write(f"    <testcase classname={suite} name={_attribute(f'{case.rule.code} {case.rule.name}')}>\n")
    text = _text("\n".join(case.lines))
    if case.rule.severity == "error":
        more = f" (and {len(case.lines) - 1:,} more)" if len(case.lines) > 1 else ""
        message = _attribute(case.lines[0] + more)
        out.write(f"      <failure type={_attribute(case.rule.code)} message={message}>{text}</failure>\n")
    else:
        out.write(f"      <system-out>{text}</system-out>\n")
    out.write("    </testcase>\n")


def _attribute(text: str) -> str:
    from xml.sax.saxutils import quoteattr  # it loads half of urllib

    return _ascii(quoteattr(_legal(text)))


def _text(text: str) -> str:
    from xml.sax.saxutils import escape

    return _ascii(escape(_legal(text)))


def _legal(text: str) -> str:
    """Two code points are neither written out by `one_line` nor allowed in XML 1.0."""
    return text.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def _ascii(text: str) -> str:
    return text.encode("ascii", "xmlcharrefreplace").decode()
