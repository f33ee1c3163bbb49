"""Findings in every format: golden pages for ten faults of one file, and hostile text in all of them.

`python tests/test_findings.py` writes the golden files (golden/findings-*.txt) anew.
"""

import gzip
import io
import json
import random
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes
from xml.etree.ElementTree import Element, fromstring

import click
import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftcli import __version__
from sftcli.cli.validate import validate as validate_command
from sftcli.cli.verify import verify as verify_command
from sftcli.findings import sarif
from sftcli.findings.finding import Finding, Findings
from sftcli.findings.formats import FORMATS, write_findings
from sftcli.findings.message import MOST_SHOWN, shown
from sftcli.findings.sarif import MOST_RESULTS, uri
from sftcli.rules.folder import RULES as FOLDER_RULES
from sftcli.rules.rule import Rule
from sftcli.view.cells import one_line
from sftcli.view.page import Screen

GOLDEN = Path(__file__).parent / "golden"
SCHEMA = json.loads((Path(__file__).parent / "schemas" / "sarif-2.1.0.json").read_bytes())
PLAIN = Screen(color=False, width=80)
KEEP = 1_000

RULES = {
    rule.code: rule
    for rule in (
        Rule("J001", "bad_utf8", "error", "A line is not UTF-8.", "a\\xff", "Convert the file to UTF-8."),
        Rule("R001", "missing_field", "error", "A field is missing.", '{"a": 1}', "Fill it in."),
        Rule("C001", "mojibake", "warning", "Text was decoded wrongly.", "cafÃ©", "Decode it again."),
        Rule("D001", "duplicate", "warning", "A record is there twice.", "the same line", "Drop one."),
    )
}
TEN_FAULTS = [
    Finding("J001", "byte 0xff begins no character", "data/a.jsonl", 1, 7),
    Finding("R001", "field 'output' is missing; the fields there are 'instruction'", "data/a.jsonl", 2, 1),
    Finding("C001", "'cafÃ©' reads as 'café' when it is decoded once more", "data/a.jsonl", 3, 21),
    Finding("D001", "the same as data/a.jsonl:1", "data/a.jsonl", 4),
    Finding("R001", "two\nlines\r\nand a tab\t", "data/a.jsonl", 5, 1),
    Finding("R001", "::error file=x::forged ##[error]forged ##vso[task.complete]", "data/a.jsonl", 6, 1),
    Finding("C001", "]]></failure><script>alert('&')</script>", "data/a.jsonl", 7, 2),
    Finding("C001", "\x1b[31mred\x1b[0m \u202eright to left\u202c \x00 \ufffe \ud800", "data/a.jsonl", 8, 3),
    Finding("R001", "100% of: this, that", "data/odd, na:me%.jsonl", 9, 4),
    Finding("J001", "the file ends in the middle of a character", "data/a.jsonl"),
]
HOSTILE = [
    *("", "\n", "\r", "%0A::error::x", "::error::x", "\n::error::x", "##[error]x", "###[error]x", "##vso[x]"),
    *("]]>", "<script>", "&amp;", '"', "'", "\\", "\x00", "\x1b[2J", "\x85", "\u2028", "\u202e", "\u200b"),
    *("\ud800", "\udcff", "\ufffe", "\uffff", "😀", "e\u0301", "a,b:c", "שלום", "\x7f", "x" * (1 << 20)),
]
TEXT = st.one_of(
    st.text(max_size=30), st.text("\n\r%:,#[]<>&'\"\\\x00\x1b\u202e\ud800\udcff\uffff ex", max_size=30)
)


def found_of(findings: list[Finding], keep: int = KEEP, records: int = 9) -> Findings:
    found = Findings(records=records, files=sorted({finding.file for finding in findings}))
    for finding in findings:
        found.add(finding, keep)
    return found


def written(format_: str, found: Findings, screen: Screen = PLAIN) -> str:
    out = io.StringIO()
    write_findings(found, RULES, format_, out, screen)
    text = out.getvalue()
    assert text.isascii() or format_ in ("text", "github")
    text.encode()  # no lone surrogate
    return text


def harmless(text: str) -> bool:
    """Nothing in it that a terminal or a CI system would act on, but the annotations of GitHub."""
    # Letters are joined by two of these; the third ends the order of right-to-left text.
    unseen = set(re.sub("[\n\u200c\u200d\u200e]", "", text)) if not text.isascii() else set(text) - {"\n"}
    hidden = any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in unseen)
    command = r"##\w*\[|^\s*::(?=\w)(?!(error|warning|notice) \S.*title=)"
    return not hidden and not re.search(command, text, re.MULTILINE)


def parsed(xml: str) -> Element:
    return fromstring(xml)  # noqa: S314


# Golden pages


def page(format_: str) -> str:
    text = written(format_, found_of([*TEN_FAULTS], records=9))
    return text.replace(f'"{__version__}"', '"1.2.3"')


@pytest.mark.parametrize("format_", FORMATS)
def test_ten_faults_are_shown_as_in_the_golden_file(format_: str) -> None:
    assert page(format_) == (GOLDEN / f"findings-{format_}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [validate_command, verify_command])
def test_the_commands_take_these_formats_and_no_other(command: click.Command) -> None:
    option = next(option for option in command.params if option.name == "format_")
    assert list(option.to_info_dict()["type"]["choices"]) == list(FORMATS)


def test_every_format_has_a_golden_file() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("findings-*")) == sorted(
        f"findings-{name}" for name in FORMATS
    )


def test_colour_marks_the_place_and_the_code_by_how_bad_it_is() -> None:
    text = written("text", found_of(TEN_FAULTS[1:3]), Screen(color=True, width=80))
    assert text == (
        "\x1b[1mdata/a.jsonl:2:1:\x1b[0m \x1b[1;31merror:\x1b[0m \x1b[1;31mR001\x1b[0m missing_field: "
        "field 'output' is missing; the fields there are 'instruction'\n"
        "\x1b[1mdata/a.jsonl:3:21:\x1b[0m \x1b[1;33mwarning:\x1b[0m \x1b[1;33mC001\x1b[0m mojibake: "
        "'cafÃ©' reads as 'café' when it is decoded once more\n"
        "\x1b[1;31m1 error\x1b[0m, \x1b[1;33m1 warning\x1b[0m: 9 records in 1 file; "
        "the first error: data/a.jsonl:2:1\n"
        "`sftcli rules CODE` explains a rule.\n"
    )


class Terminal(io.StringIO):
    """What is written here is shown to somebody."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_long_lines_broken_between_words() -> None:
    out = Terminal()
    found = found_of([TEN_FAULTS[1], Finding("C001", "x" * 80 + " y  z", "a.jsonl", 7, 1)])
    write_findings(found, RULES, "text", out, Screen(color=False, width=60))
    assert out.getvalue().splitlines()[:5] == [
        "data/a.jsonl:2:1: error: R001 missing_field: field 'output'",
        "    is missing; the fields there are 'instruction'",
        "a.jsonl:7:1: warning: C001 mojibake:",
        "    " + "x" * 80,
        "    y  z",
    ]


def test_one_error_alone_is_not_named_again() -> None:
    assert written("text", found_of(TEN_FAULTS[:1])).splitlines()[1] == "1 error: 9 records in 1 file"
    last = written("text", found_of([TEN_FAULTS[2], TEN_FAULTS[1], TEN_FAULTS[0]])).splitlines()[-2]
    assert last == "2 errors, 1 warning: 9 records in 1 file; the first error: data/a.jsonl:2:1"


def test_a_terminal_of_ascii_gets_ascii() -> None:
    text = written("text", found_of(TEN_FAULTS[2:3]), Screen(color=False, width=80, ascii_only=True))
    assert text.splitlines()[0] == (
        r"data/a.jsonl:3:21: warning: C001 mojibake: 'caf\u00c3\u00a9' reads as 'caf\u00e9' "
        "when it is decoded once more"
    )
    assert written("github", found_of(TEN_FAULTS), Screen(False, 80, ascii_only=True)).isascii()


# Nothing found, and too much


NOTHING = Findings(records=1, files=["a.jsonl"])


def test_nothing_found() -> None:
    said = {name: written(name, NOTHING) for name in FORMATS}
    assert said["text"] == said["github"] == "All checks passed: 1 record in 1 file\n"
    assert said["jsonl"] == ""
    assert json.loads(said["json"]) == {
        **{"version": 1, "sftcli": __version__, "findings": [], "counts": {}, "errors": 0, "warnings": 0},
        **{"not_listed": 0, "records": 1, "files": ["a.jsonl"], "partial": False, "notes": []},
    }
    assert said["junit"] == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<testsuites name="sftcli" tests="1" failures="0" errors="0">\n'
        '  <testsuite name="a.jsonl" tests="1" failures="0" errors="0" skipped="0">\n'
        '    <testcase classname="a.jsonl" name="no findings"/>\n'
        "  </testsuite>\n"
        "</testsuites>\n"
    )
    assert json.loads(said["sarif"])["runs"][0]["results"] == []


def test_what_is_not_kept_is_told_in_every_format() -> None:
    """Warnings came first and filled the list; the errors behind them still show."""
    found = found_of([TEN_FAULTS[2]] * 3 + [TEN_FAULTS[1]] * 4, keep=2, records=7)
    assert written("text", found).splitlines()[-2] == (
        "4 errors, 3 warnings: 7 records in 1 file; 2 shown (--max-errors N shows more)"
    )
    facts = json.loads(written("json", found))
    assert (facts["errors"], facts["warnings"], facts["not_listed"]) == (4, 3, 5)
    assert facts["counts"] == {"C001": 3, "R001": 4}
    assert written("github", found).splitlines()[2:] == [
        "::warning title=C001 mojibake::1 more of C001, not listed (--max-errors N lists more)",
        "::error title=R001 missing_field::4 more of R001, not listed (--max-errors N lists more)",
        "4 errors, 3 warnings: 7 records in 1 file; 2 shown (--max-errors N shows more)",
    ]
    root = parsed(written("junit", found))
    assert root.get("failures") == "1"
    assert [failure.text for failure in root.iter("failure")] == [
        "4 more of R001 (--max-errors N lists more)"
    ]
    run = json.loads(written("sarif", found))["runs"][0]
    [notice] = run["invocations"][0]["toolExecutionNotifications"]
    assert notice["message"]["text"] == "5 more findings are not listed"


def test_a_run_that_stopped_early_says_so() -> None:
    found = found_of(TEN_FAULTS[:1])
    found.partial = True
    assert written("text", found).splitlines()[-2] == (
        "1 error: 9 records in 1 file, by the time reading stopped (--max-errors N reads on)"
    )
    assert json.loads(written("json", found))["partial"] is True
    run = json.loads(written("sarif", found))["runs"][0]
    [notice] = run["invocations"][0]["toolExecutionNotifications"]
    assert notice["message"]["text"].endswith("reading stopped before the end of the inputs")


# GitHub annotations


COMMAND = re.compile(r"::(error|warning|notice) ([^\n]*?)::(.*)")


def runner_reads(line: str) -> tuple[str, dict[str, str], str]:
    """What GitHub's runner takes a line for: the kind, the properties and the message, unescaped."""
    match = COMMAND.fullmatch(line)
    assert match is not None
    properties = dict(part.split("=", 1) for part in match[2].split(","))
    return (
        match[1],
        {name: _taken_back(text, "%3A:", "%2C,") for name, text in properties.items()},
        _taken_back(match[3]),
    )


def _taken_back(text: str, *more: str) -> str:
    for escape in ("%0D\r", "%0A\n", *more, "%25%"):
        text = text.replace(escape[:3], escape[3:])
    return text


def test_annotations_are_what_the_runner_reads() -> None:
    lines = written("github", found_of(TEN_FAULTS)).splitlines()
    read = [runner_reads(line) for line in lines[:-1]]
    assert [kind for kind, _, _ in read] == ["error"] * 6 + ["warning"] * 4
    errors = [finding for finding in TEN_FAULTS if RULES[finding.code].severity == "error"]
    assert [message for _, _, message in read[:6]] == [shown(finding.message) for finding in errors]
    assert read[4] == (
        "error",
        {"file": "data/odd, na:me%.jsonl", "line": "9", "col": "4", "title": "R001 missing_field"},
        "100% of: this, that",
    )
    assert read[5][1] == {"file": "data/a.jsonl", "title": "J001 bad_utf8"}


def test_github_says_that_it_shows_ten() -> None:
    for count, notices in (
        (10, []),
        (11, ["11 errors: GitHub shows 10 of a kind, the log of this step has the rest"]),
    ):
        read = [
            runner_reads(line)
            for line in written("github", found_of(TEN_FAULTS[:1] * count)).splitlines()[:-1]
        ]
        assert [message for kind, _, message in read if kind == "notice"] == notices


# JUnit


def test_junit_has_the_shape_that_jenkins_checks() -> None:
    """The elements, attributes and order of its schema (junit-10.xsd of its xunit plug-in)."""
    root = parsed(written("junit", found_of(TEN_FAULTS)))
    assert (root.tag, root.attrib) == (
        "testsuites",
        {"name": "sftcli", "tests": "5", "failures": "3", "errors": "0"},
    )
    for suite in root:
        assert suite.tag == "testsuite"
        assert suite.keys() == ["name", "tests", "failures", "errors", "skipped"]
        assert int(suite.get("tests", "")) == len(suite)
        assert int(suite.get("failures", "")) == len(list(suite.iter("failure")))
        for case in suite:
            assert (case.tag, case.keys()) == ("testcase", ["classname", "name"])
            for said in case:
                assert (said.tag, said.keys()) in [("failure", ["type", "message"]), ("system-out", [])]
    assert [suite.get("name") for suite in root] == ["data/a.jsonl", "data/odd, na:me%.jsonl"]


# SARIF


def test_sarif_is_valid() -> None:
    log = json.loads(written("sarif", found_of(TEN_FAULTS, keep=7)))
    jsonschema.Draft4Validator(SCHEMA).validate(log)
    [run] = log["runs"]
    assert run["columnKind"] == "unicodeCodePoints"
    rules = run["tool"]["driver"]["rules"]
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [
        r["ruleId"] for r in run["results"]
    ]
    broken = json.loads(written("sarif", found_of(TEN_FAULTS)))
    broken["runs"][0]["results"][0]["level"] = "fatal"
    with pytest.raises(jsonschema.ValidationError, match="fatal"):
        jsonschema.Draft4Validator(SCHEMA).validate(broken)


def results(found: Findings) -> list[dict[str, Any]]:
    return json.loads(written("sarif", found))["runs"][0]["results"]


def fingerprints(findings: list[Finding]) -> list[str]:
    return [one["partialFingerprints"]["primaryLocationLineHash"] for one in results(found_of(findings))]


def test_fingerprints_stay_where_lines_are_put_in_above() -> None:
    twice = Finding("D001", "the same as a.jsonl:10", "a.jsonl", 20)
    moved = Finding("D001", "the same as a.jsonl:13", "a.jsonl", 23)
    other = Finding("R001", "field 'a' is missing", "a.jsonl", 20)
    elsewhere = Finding("D001", "the same as a.jsonl:10", "b.jsonl", 20)
    before, after = fingerprints([other, twice, elsewhere]), fingerprints([other, moved, elsewhere])
    assert before == after
    assert len(set(before)) == 3
    assert len(set(fingerprints([other] * 5))) == 5


def test_sarif_stays_within_the_limits_of_github() -> None:
    many = [Finding("R001", f"bad {i}", "a.jsonl", i + 1) for i in range(MOST_RESULTS + 5)]
    found = found_of([*many, TEN_FAULTS[2]], keep=len(many) + 1)
    log = json.loads(written("sarif", found))
    assert len(log["runs"][0]["results"]) == MOST_RESULTS
    [notice] = log["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert notice["message"]["text"] == "6 more findings are not listed"


def test_sarif_that_packs_badly_stays_within_ten_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sarif.MOST_PACKED < 9_500_000
    monkeypatch.setattr(sarif, "MOST_PACKED", 500_000)
    draw = random.Random(1)
    noise = ["".join(chr(draw.randrange(0x4E00, 0x9FFF)) for _ in range(500)) for _ in range(800)]
    found = found_of([Finding("R001", text, "a.jsonl", 1) for text in noise])
    log = json.loads(written("sarif", found))
    listed = len(log["runs"][0]["results"])
    [notice] = log["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert notice["message"]["text"] == f"{800 - listed} more findings are not listed"
    assert 420_000 < len(gzip.compress(written("sarif", found).encode())) < 510_000


def test_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert uri("data/a b#c?.jsonl") == "data/a%20b%23c%3F.jsonl"
    assert uri("a:b.jsonl") == "a%3Ab.jsonl"
    assert uri("été/😀") == "%C3%A9t%C3%A9/%F0%9F%98%80"
    assert uri("../x") == "../x"
    assert uri(str(tmp_path / "in" / "x.jsonl")) == "in/x.jsonl"
    assert uri("/else where/x") == "file:///else%20where/x"
    assert unquote_to_bytes(uri("\udcff.jsonl")) == b"\xff.jsonl"


# Hostile text


def check_every_format(message: str, file: str) -> None:
    findings = [Finding("R001", message, file, 3, 5), Finding("C001", message, file)]
    found = found_of(findings)
    texts = {name: written(name, found) for name in FORMATS}
    as_shown, as_file = shown(message), one_line(file)
    for name, text in texts.items():
        assert harmless(text), name
        assert name == "github" or not re.search(r"^\s*::\w", text, re.MULTILINE), name
    assert len(texts["text"].splitlines()) == 4
    # for programs: the message as it is, but that a lone surrogate is written out
    whole = [text.encode("utf-8", "backslashreplace").decode() for text in (message, file)]
    objects = json.loads(texts["json"])["findings"]
    assert [[one["message"], one["file"]] for one in objects] == [whole, whole]
    assert [msgspec.json.decode(line) for line in texts["jsonl"].splitlines()] == objects
    read = [runner_reads(line) for line in texts["github"].splitlines()[:-1]]
    assert [(kind, said) for kind, _, said in read] == [("error", as_shown), ("warning", as_shown)]
    assert [place["file"] for _, place, _ in read] == [as_file, as_file]
    root = parsed(texts["junit"])
    illegal = str.maketrans({"\ufffe": "\\ufffe", "\uffff": "\\uffff"})
    line = f"{one_line(file + ':3:5')}: R001 {as_shown}".translate(illegal)
    assert [(one.text, one.get("message")) for one in root.iter("failure")] == [(line, line)]
    [run] = json.loads(texts["sarif"])["runs"]
    assert [one["message"]["text"] for one in run["results"]] == [as_shown or "R001", as_shown or "C001"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["region"] == {"startLine": 3, "startColumn": 5}
    if not file.startswith("/"):
        assert unquote(place["artifactLocation"]["uri"], errors="surrogateescape") == re.sub(
            "[\ud800-\udc7f\udd00-\udfff]", "\ufffd", file
        )


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_hostile_text_stays_text(text: str) -> None:
    check_every_format(text, "a.jsonl")
    check_every_format(f"before {text} after", f"data/{text[:200]}.jsonl")


@given(TEXT, TEXT.filter(bool))
def test_what_is_written_is_read_back(message: str, file: str) -> None:
    check_every_format(message, file)


def test_a_message_of_a_megabyte_is_cut_where_people_read_it() -> None:
    found = found_of([Finding("R001", "é" * (1 << 20), "a.jsonl", 1, 1)])
    end = "… (1,048,576 characters)"
    assert written("text", found).splitlines()[0] == (
        f"a.jsonl:1:1: error: R001 missing_field: {'é' * MOST_SHOWN}{end}"
    )
    for name in ("github", "junit", "sarif"):
        assert len(written(name, found)) < 30_000
    assert json.loads(written("jsonl", found))["message"] == "é" * (1 << 20)


# Counts


@given(st.lists(st.sampled_from(TEN_FAULTS), max_size=30), st.integers(0, 12))
def test_counts(findings: list[Finding], keep: int) -> None:
    found = found_of(findings, keep)
    assert found.kept == findings[:keep]
    assert found.counts == Counter(finding.code for finding in findings)
    assert found.not_kept() == Counter(finding.code for finding in findings[keep:])
    by_severity = Counter(RULES[finding.code].severity for finding in findings)
    assert (found.total("error", RULES), found.total("warning", RULES)) == (
        by_severity["error"],
        by_severity["warning"],
    )
    assert list(found.errors_first(RULES)) == sorted(found.kept, key=lambda one: RULES[one.code].severity)


def test_places() -> None:
    assert [finding.place for finding in (TEN_FAULTS[0], TEN_FAULTS[3], TEN_FAULTS[9])] == [
        *("data/a.jsonl:1:7", "data/a.jsonl:4", "data/a.jsonl")
    ]


def test_the_rules_of_a_folder_have_codes_of_their_own() -> None:
    codes = [rule.code for rule in FOLDER_RULES]
    assert codes == [f"V{number:03}" for number in range(1, len(codes) + 1)]
    assert len({rule.name for rule in FOLDER_RULES}) == len(codes)


def _pages() -> Iterator[tuple[Path, str]]:
    for format_ in FORMATS:
        yield GOLDEN / f"findings-{format_}.txt", page(format_)


if __name__ == "__main__":
    for path, text in _pages():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.name}\n")
