"""`validate` on the tables of hostile input: each has its rule, at the place where `prepare` finds it."""

from pathlib import Path

import files
import lines
import pytest
import table

from sftcli.config import load_config
from sftcli.findings.finding import Finding
from sftcli.rules.catalogue import BY_NAME
from sftcli.validate.settings import Settings
from sftcli.validate.validate import validate

GOOD = {
    **lines.GOOD,
    # A conversation that no rule on content has anything against.
    "sharegpt": b'{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}',
}


def found(folder: Path, name: str, data: bytes, record_format: str) -> list[Finding]:
    path = folder / name
    path.write_bytes(data)
    config = load_config(None, {"inputs": [str(path)], "record_format": record_format})
    return validate(config, Settings(select=["J", "R", "C"])).findings.kept


@pytest.mark.parametrize(("name", "format_", "line", "column", "code", "part"), lines.LINES)
def test_bad_lines(
    tmp_path: Path, name: str, format_: str, line: bytes, column: int, code: str, part: str
) -> None:
    data = b"\n".join([GOOD[format_], line, GOOD[format_], b""])
    (bad,) = found(tmp_path, "a.jsonl", data, format_)
    assert (bad.code, bad.line, bad.column) == (BY_NAME[code].code, 2, column)
    assert part in bad.message


@pytest.mark.parametrize(("name", "format_", "line"), lines.FINE)
def test_odd_lines_that_are_fine(tmp_path: Path, name: str, format_: str, line: bytes) -> None:
    assert [one for one in found(tmp_path, "a.jsonl", line, format_) if one.code[0] == "R"] == []


@pytest.mark.parametrize(("name", "file", "data", "code", "part"), files.FILES)
def test_bad_files(tmp_path: Path, name: str, file: str, data: bytes, code: str, part: str) -> None:
    findings = found(tmp_path, file, data, "text")
    bad = next(one for one in findings if one.code == BY_NAME[code].code)
    if part[0].isdigit():
        line, column, part = part.split(":", 2)
        assert (bad.line, bad.column) == (int(line), int(column))
    assert part.strip() in bad.message
    assert {one.code[0] for one in findings} == {"J"}


def test_the_page_of_hostile_inputs_is_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert table.page() == table.PAGE.read_text(encoding="utf-8")
