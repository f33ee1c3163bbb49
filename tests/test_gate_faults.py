"""`sftcli validate`: nothing is passed over in silence, and no limit lets pass what it should not."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Here, jsonl, write
from hypothesis import given
from hypothesis import strategies as st

from sftcli.config import load_config
from sftcli.findings.finding import Findings
from sftcli.plan import plan_splits
from sftcli.validate import validate as whole_run
from sftcli.validate.settings import Settings, load_settings, parse_limit
from sftcli.validate.validate import validate

pytestmark = pytest.mark.usefixtures("own_folder")

GOOD = {"prompt": "2+2=", "completion": "4"}
EMPTY = {"prompt": "2+2=", "completion": ""}


def found(*inputs: str, options: dict[str, Any] | None = None, **settings: Any) -> Findings:
    config = load_config(None, {"inputs": list(inputs), **(options or {})})
    return validate(config, Settings(**settings)).findings


def places(*inputs: str, **settings: Any) -> list[tuple[str, int | None]]:
    return [(one.code, one.line) for one in found(*inputs, **settings).kept]


# A format is settled on by the first record, however late it comes


@pytest.mark.parametrize("bad", [1, 99, 100, 101, 5_000])
@pytest.mark.parametrize("tokenizer", [None, "demo"])
def test_records_after_many_bad_lines_are_judged(bad: int, tokenizer: str | None) -> None:
    lines = b"{\n" * bad + jsonl(EMPTY, GOOD, GOOD, {"prompt": "2+3="})
    Path("data.jsonl").write_bytes(lines)
    findings = found("data.jsonl", options={"tokenizer": tokenizer}, max_errors=10_000)
    assert findings.counts == {"J006": bad, "C001": 1, "R002": 1, "D001": 1}
    assert findings.notes == []


def test_bad_lines_may_fill_the_first_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_run, "_SPLIT_BYTES", 1000)
    Path("data.jsonl").write_bytes(b"{\n" * 2000 + jsonl(*([EMPTY] * 200)) + b"[]\n" + jsonl({"text": "a"}))
    one = found("data.jsonl", max_errors=10_000, num_proc=1)
    assert one.counts == {"J006": 2000, "C001": 200, "J003": 1, "R002": 1}
    for workers in (2, 3):
        assert found("data.jsonl", max_errors=10_000, num_proc=workers) == one
    # Where nothing is found in the first ones, each split looks for itself.
    monkeypatch.setattr(whole_run, "_MOST_LOOKS", 1)
    assert found("data.jsonl", max_errors=10_000, num_proc=2) == one


def test_a_file_without_any_record_says_so(sftcli_here: Here) -> None:
    Path("data.jsonl").write_bytes(b"{\n[]\n3\n")
    write(Path("good.jsonl"), GOOD)
    ended = sftcli_here("validate", "data.jsonl", "good.jsonl")
    assert ended.code == 1
    said = "3 errors: 4 records in 2 files; no line of data.jsonl is a record, so only its JSON was judged"
    assert said in ended.out
    # What is no record is no unknown format either; one that is of none is told once.
    write(Path("other.jsonl"), {"a": 1}, {"b": 2})
    assert found("other.jsonl").counts == {"R001": 1}
    assert found("other.jsonl").notes == []


def test_an_unknown_format_after_bad_lines_is_told_where_it_is() -> None:
    Path("data.jsonl").write_bytes(b"{\n" * 300 + jsonl({"a": 1}, GOOD))
    assert places("data.jsonl", select=["R"]) == [("R002", 301)]
    Path("data.jsonl").write_bytes(b"{\n" * 300 + jsonl({"a": 1}))
    assert places("data.jsonl", select=["R"]) == [("R001", 301)]


# Limits


def test_no_limit_excuses_a_fault_of_a_whole_file(sftcli_here: Here) -> None:
    packed = gzip.compress(jsonl(*([GOOD] * 500)))
    Path("cut.jsonl.gz").write_bytes(packed[:-4])
    Path("empty.jsonl").write_bytes(b"")
    Path("broken.json").write_bytes(b'[{"prompt": "a", "completion": "b"},]')
    write(Path("unknown.jsonl"), {"a": 1})
    for name, code in (
        ("cut.jsonl.gz", "J101"),
        ("empty.jsonl", "J112"),
        ("broken.json", "J010"),
        ("unknown.jsonl", "R001"),
    ):
        for limit in (f"{code}=5", f"{code[0]}=100%", "ALL=100%"):
            ended = sftcli_here("validate", name, "--fail-over", limit, "--max-bad", "100%", "--ignore", "D")
            assert ended.code == 1, (name, limit)
            assert "1 finding about whole files, which no limit allows" in ended.err


def limits_of(**fail_over: str) -> dict[str, str]:
    settings = Settings(fail_over=dict(fail_over))
    return {code: str(settings.limit_of(code)) for code in ("C001", "C005", "C014", "J001")}


def test_the_most_exact_limit_counts() -> None:
    assert limits_of(ALL="1", C="2", C0="3", C00="4", C001="5") == {
        "C001": "5", "C005": "4", "C014": "3", "J001": "1",
    }  # fmt: skip
    assert limits_of(control_text="7", C0="3") == {"C001": "3", "C005": "7", "C014": "3", "J001": "None"}


@pytest.mark.parametrize("written", ["c005", "C005", "control_text", "control-text", "CONTROL_TEXT"])
def test_a_rule_is_named_in_any_way(written: str, sftcli_here: Here) -> None:
    """On the command line and in a file, for all that names rules."""
    write(Path("data.jsonl"), {"prompt": "a", "completion": "<|im_end|>"})
    assert sftcli_here("validate", "data.jsonl").code == 0
    assert sftcli_here("validate", "data.jsonl", "--fail-over", f"{written}=0").code == 1
    assert "C005" in sftcli_here("validate", "data.jsonl", "--select", written).out
    assert sftcli_here("validate", "data.jsonl", "--ignore", written).out.startswith("All checks passed")
    Path("pyproject.toml").write_text(f'[tool.sftcli]\nfail-over = {{"{written}" = 0}}\n')
    assert sftcli_here("validate", "data.jsonl").code == 1
    settings, _ = load_settings(None, {"fail_over": {"C005": "1"}})
    assert settings.fail_over == {"C005": "1"}


def test_a_rule_has_one_limit(sftcli_here: Here) -> None:
    write(Path("data.jsonl"), GOOD)
    ended = sftcli_here("validate", "data.jsonl", "--fail-over", "C005=0", "--fail-over", "control_text=9")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "error: --fail-over control_text: is C005, which is given twice\n"


@given(st.integers(0, 10**25), st.integers(0, 10**25), st.decimals(0, 100, places=6).map(lambda n: f"{n:f}"))
def test_shares_are_exact(count: int, records: int, percent: str) -> None:
    """As whole numbers say it: percent is so many millionths of a percent."""
    millionths = int(percent.replace(".", ""))
    limit = parse_limit(f"{percent}%", "")
    assert limit.is_exceeded(count, records) == (count * 100 * 10**6 > millionths * records)


def test_a_share_at_its_limit_is_no_more_than_it() -> None:
    for percent, count, records in (("0.1", 1, 1000), ("0.7", 7, 1000), ("1.1", 11, 1000), ("29", 29, 100)):
        assert not parse_limit(f"{percent}%", "").is_exceeded(count, records)
        assert parse_limit(f"{percent}%", "").is_exceeded(count + 1, records)
    assert str(parse_limit("1000000", "")) == "1000000"
    assert str(parse_limit("0.0000010%", "")) == "0.0000010%"
    assert parse_limit(str(2**53), "").is_exceeded(2**53 + 1, 1)


# --limit


def test_files_after_the_limit_are_not_empty() -> None:
    for name in ("a", "b", "c"):
        write(Path(f"{name}.jsonl"), GOOD, {**GOOD, "id": 1})
    Path("empty.jsonl").write_bytes(b"")
    for limit in range(1, 7):
        findings = found("a.jsonl", "b.jsonl", "c.jsonl", options={"limit": limit}, ignore=["D"])
        assert (findings.counts, findings.records) == ({}, limit)
    assert found("empty.jsonl", "a.jsonl", "b.jsonl", options={"limit": 2}, ignore=["D"]).counts == {
        "J112": 1
    }
    assert found("a.jsonl", "empty.jsonl", options={"limit": 2}, ignore=["D"]).counts == {}
    assert json.dumps(found("a.jsonl", "b.jsonl", options={"limit": 1}).notes) == "[]"


def test_a_split_is_named_by_its_lines() -> None:
    Path("data.jsonl").write_bytes(jsonl(*([GOOD] * 1500)))
    splits = plan_splits(["data.jsonl"], 20_000)
    line = len(jsonl(GOOD))
    assert whole_run._lines_of(splits[0]) == f"data.jsonl: lines 1 to {splits[0].end // line:,}"
    assert whole_run._lines_of(splits[-1]) == f"data.jsonl: lines {splits[-1].start // line + 1:,} to 1,500"
    Path("data.jsonl.gz").write_bytes(gzip.compress(jsonl(GOOD)))
    assert whole_run._lines_of(plan_splits(["data.jsonl.gz"])[0]) == "data.jsonl.gz"


# What prepare makes of it


@pytest.mark.parametrize("bad", [99, 100, 5_000])
def test_prepare_reads_on_to_the_first_record_as_validate_does(bad: int, sftcli_here: Here) -> None:
    Path("data.jsonl").write_bytes(b"{\n" * bad + jsonl(GOOD, EMPTY, GOOD))
    ended = sftcli_here("prepare", "data.jsonl", "-t", "demo", "-o", "out", "--on-error", "skip")
    counts = json.loads(Path("out/manifest.json").read_bytes())["counts"]
    assert (ended.code, counts["rows"], counts["rejected"]) == (0, 2, {"cut_short": bad, "empty_answer": 1})
    ended = sftcli_here("prepare", "data.jsonl", "-t", "demo", "-o", "other")
    assert (ended.code, ended.err.count("J006 cut_short")) == (1, 20)


def test_prepare_says_what_is_wrong_with_a_file_without_any_record(sftcli_here: Here) -> None:
    Path("data.jsonl").write_bytes(b"[]\n" * 5_000)
    ended = sftcli_here("prepare", "data.jsonl", "-t", "demo", "-o", "out", "--on-error", "skip")
    assert ended.code == 1
    assert "data.jsonl:1:1: " in ended.err
