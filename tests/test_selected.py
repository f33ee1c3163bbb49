"""`prepare --select`: the rules that are counted beside what always makes a record bad."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import EXAMPLES, Here, chat, jsonl, make, manifest, tree, write

from sftcli.config import load_config
from sftcli.errors import BadRecordsError, UsageError
from sftcli.rules.beside import rules_beside, rules_left_out
from sftcli.rules.catalogue import BY_NAME, RULES
from sftcli.rules.rule import Rule
from sftcli.stats.raw import measure_raw

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA0Z3VS5JJcds3xfn\n-----END RSA PRIVATE KEY-----"


def segments(*parts: tuple[str, bool]) -> dict[str, Any]:
    return {"segments": [{"text": text, "label": label} for text, label in parts]}


GOOD = segments(("2+2=", False), ("4", True))
SECRET = segments(("Key: ", False), (KEY, True))  # C014, and C012 and T006 for the space
UNENDED = segments(("2+2=", False), ("4", True), (" 3+3=", False), ("6", True))  # T003
ENDED_BADLY = segments(("Say: ", False), ("the end<|im_end|>", True))  # C005, C012, T006
EMPTY: dict[str, Any] = {"segments": []}  # R005, whatever is selected
MIXED = (GOOD, SECRET, UNENDED, EMPTY, ENDED_BADLY, GOOD)


def finding(name: str, count: int, first: str, severity: str = "error") -> dict[str, Any]:
    return {"name": name, "severity": severity, "count": count, "first": first}


def findings(out: Path) -> dict[str, Any]:
    return manifest(out)["counts"]["findings"]


# Which rules are on

BESIDE = {
    *("R016", "C004", "C005", "C006", "C007", "C008", "C009", "C010", "C011", "C012", "C014", "C015"),
    *("T003", "T004", "T005", "T006", "T007", "T008"),
}


@pytest.mark.parametrize(
    ("select", "ignore", "expected"),
    [
        ([], [], set()),
        ([], ["C"], set()),
        (["ALL"], [], BESIDE | {"C013", "C016"}),
        (["J", "R", "C", "T", "D"], [], BESIDE),
        (["C"], ["C005", "C01"], {"C004", "C006", "C007", "C008", "C009"}),
        (["no_terminator"], [], {"T003"}),
        (["R001", "T001"], [], set()),  # always on
    ],
)
def test_selected_rules(select: list[str], ignore: list[str], expected: set[str]) -> None:
    assert rules_beside(select, ignore) == expected


ALONE = "rules on files and on the data set as a whole are run by `sftcli validate` alone"


@pytest.mark.parametrize(
    ("select", "ignore", "left"),
    [
        (["C", "T", "R"], [], None),
        (["J001"], [], None),
        (["C", "D001"], [], f"--select: D001: {ALONE}"),
        (["ALL"], ["D"], f"--select: J021, J022, J023: {ALONE}"),
        (["ALL"], ["D", "J02"], None),
    ],
)
def test_rules_that_only_validate_runs_are_named(select: list[str], ignore: list[str], left: str) -> None:
    assert rules_left_out(select, ignore) == left


def test_a_selection_of_such_rules_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        make(tmp_path / "out", write(tmp_path / "in.jsonl", GOOD), select=["D001", "D002"])
    assert str(refused.value) == f"--select: D001, D002: {ALONE}; leave them out"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["select", "ignore"])
def test_an_unknown_rule_is_refused(option: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_config(None, {option: ["C0001"]})
    assert str(refused.value) == "no rule 'C0001'; did you mean C001 (empty_answer)?"


# Of every rule what its example gives. A file's own faults end a run before any rule is asked, and
# the size of the model's vocabulary is known to `validate` alone.
JUDGED = [rule for rule in RULES.values() if not re.match("J02|J1|D|R001|T008", rule.code)]


@pytest.mark.parametrize("rule", JUDGED, ids=lambda rule: f"{rule.code}-{rule.name}")
def test_the_example_of_a_rule(
    rule: Rule, sftcli_here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors are bad records or dropped rows, warnings are counted; unselected ones are neither."""
    monkeypatch.chdir(tmp_path)
    if rule.example.startswith("$ "):
        script = re.sub(r"^\$ ", "", rule.example, flags=re.MULTILINE)
        subprocess.run(["sh", "-e", "-c", script], check=True)
    else:
        Path("data.jsonl").write_bytes(rule.example.encode(errors="surrogateescape") + b"\n")
    options = shlex.split(rule.options) or ["-t", "demo"]
    options += [] if "--template" in options or "own.json" in options else own_layout(rule)
    ended = sftcli_here("prepare", "data.jsonl", *options, "-o", "out", "--json", "--select", rule.code)
    told = f" {rule.code} {rule.name}"
    if rule.severity == "error":
        assert ended.code == 1, ended
        assert told in ended.err
    else:
        assert (ended.code, ended.err) == (0, "")
        found = json.loads(ended.out)["findings"]
        assert {code: facts["count"] for code, facts in found.items()} == {rule.code: 1}
    plain = sftcli_here("prepare", "data.jsonl", *options, "-o", "plain", "--json")
    always = rule.severity == "error" and rule.code not in rules_beside(["ALL"], [])
    assert (plain.code, told in plain.err) == (int(always), always)


def own_layout(rule: Rule) -> list[str]:
    return ["--template", "chatml"] if '"messages"' in rule.example else []


# What is found


def test_without_a_selection_nothing_is_judged_beside_the_stages(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", *MIXED), tmp_path / "out"
    report = make(out, source, on_error="skip")
    assert findings(out) == {"R005": finding("bad_segments", 1, f"{source}:4:14")}
    assert (report.counts.rows, report.warnings) == (5, ())


def test_warnings_are_counted_and_errors_make_bad_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("in.jsonl"), *MIXED)
    make("out", "in.jsonl", on_error="quarantine", select=["C", "T"])
    # No row was made of the record with the key: what its tokens would be is not asked.
    assert findings(tmp_path / "out") == {
        "C005": finding("control_text", 1, "in.jsonl:5:67", "warning"),
        "C012": finding("prompt_ends_in_space", 2, "in.jsonl:2:29", "warning"),
        "C014": finding("private_key", 1, "in.jsonl:2:60"),
        "R005": finding("bad_segments", 1, "in.jsonl:4:14"),
        "T003": finding("no_terminator", 1, "in.jsonl:3:1"),
        "T006": finding("straddle_trained", 1, "in.jsonl:5:1", "warning"),
    }
    counts = manifest(tmp_path / "out")["counts"]
    assert counts["rejected"] == {"bad_segments": 1, "no_terminator": 1, "private_key": 1}
    assert (counts["lines"], counts["rows"]) == (6, 3)
    rejects = [json.loads(line) for line in Path("out/rejects.jsonl").read_text().splitlines()]
    told = [
        tuple(reject[name] for name in ("line", "column", "code", "name", "message")) for reject in rejects
    ]
    assert told == [
        (2, 60, "C014", "private_key", "a private key"),
        (3, 1, "T003", "no_terminator", "an answer is not ended by a token that is trained"),
        (4, 14, "R005", "bad_segments", "segments: the list of segments is empty"),
    ]
    assert [json.loads(reject["raw"]) for reject in rejects] == [SECRET, UNENDED, EMPTY]


def test_what_is_ignored_is_not_counted(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", *MIXED), tmp_path / "out"
    make(out, source, on_error="skip", select=["C", "T"], ignore=["private_key", "T", "C005"])
    assert findings(out) == {
        "C012": finding("prompt_ends_in_space", 2, f"{source}:2:29", "warning"),
        "R005": finding("bad_segments", 1, f"{source}:4:14"),
    }


@pytest.mark.parametrize("encoder", ["fastokens", "tokenizers"])
def test_bad_rows_end_a_run_in_the_order_of_their_lines(tmp_path: Path, encoder: str) -> None:
    """Rows of many blocks are judged one block after the other, however many threads there are."""
    padding = segments(("x " * 5_000, False), ("4", True))
    source = write(tmp_path / "in.jsonl", *([padding] * 150 + [UNENDED, EMPTY]) * 4)
    size = source.stat().st_size
    assert size > 5 << 20  # blocks of 1 MiB
    with pytest.raises(BadRecordsError) as refused:
        make(tmp_path / "out", source, select=["T"], encoder=encoder)
    lines = [152 * turn + at for turn in range(4) for at in (151, 152)]
    assert [reject.line for reject in refused.value.rejects] == lines
    assert [reject.code for reject in refused.value.rejects] == ["no_terminator", "bad_segments"] * 4
    assert (refused.value.total, refused.value.partial) == (8, False)


def test_a_limit_counts_what_is_read(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", *MIXED), tmp_path / "out"
    make(out, source, on_error="skip", select=["C012"], limit=3)
    assert findings(out) == {
        "C012": finding("prompt_ends_in_space", 1, f"{source}:2:29", "warning"),
    }


def test_findings_of_several_files_name_the_first(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{name}.jsonl", *some) for name, some in
             (("a", [GOOD]), ("b", [ENDED_BADLY, UNENDED]), ("c", [ENDED_BADLY, EMPTY]))]  # fmt: skip
    make(tmp_path / "out", *files, on_error="skip", select=["C005", "T003"])
    assert findings(tmp_path / "out") == {
        "C005": finding("control_text", 2, f"{files[1]}:1:67", "warning"),
        "R005": finding("bad_segments", 1, f"{files[2]}:2:14"),
        "T003": finding("no_terminator", 1, f"{files[1]}:2:1"),
    }


# The same rules elsewhere


@pytest.mark.parametrize("name", ["chat", "alpaca", "mixed"])
def test_warnings_are_those_of_validate(
    tmp_path: Path, sftcli_here: Here, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """One config for both: the same rules, counts and first places."""
    monkeypatch.chdir(tmp_path)
    source = str(EXAMPLES / f"{name}.jsonl") if name != "mixed" else "mixed.jsonl"
    said = ("Use <|im_end|>, then", "\u202etxt", "a\x07b", "```py\nx", "<think>", "Ã©tÃ©")
    talks = [chat(f"{text} ", text) for text in said]
    write(Path("mixed.jsonl"), *talks)
    Path("gate.yaml").write_text("tokenizer: demo\ntemplate: chatml\nselect: [C, R, T]\nignore: [C004]\n")
    prepared = sftcli_here("prepare", source, "--config", "gate.yaml", "-o", "out", "--json")
    judged = sftcli_here("validate", source, "--config", "gate.yaml", "--format", "jsonl")
    assert (prepared.code, prepared.err, judged.code) == (0, "", 0)
    expected: dict[str, Any] = {}
    for found in map(json.loads, judged.out.splitlines()):
        code, place = found["code"], f"{found['file']}:{found['line']}:{found['column']}"
        seen = expected.setdefault(code, finding(RULES[code].name, 0, place, "warning"))
        seen["count"] += 1
    assert json.loads(prepared.out)["findings"] == expected
    if name == "mixed":
        assert {"C005", "C008", "C009", "C010", "C011"} <= set(expected)


def test_stats_leave_out_what_prepare_leaves_out(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", *MIXED)
    config = load_config(None, {"inputs": [str(source)], "tokenizer": "demo", "select": ["C", "T"]})
    measured = measure_raw(config, str(source))
    assert {name: reason.first for name, reason in measured.rejected.items()} == {
        "bad_segments": f"{source}:4:14",
        "no_terminator": f"{source}:3:1",
        "private_key": f"{source}:2:60",
    }
    assert measured.records == 6


@pytest.mark.parametrize("deep", ["all", "6"])
def test_a_folder_made_with_a_selection_is_made_again_with_it(
    tmp_path: Path, sftcli_here: Here, deep: str
) -> None:
    out = tmp_path / "out"
    make(out, write(tmp_path / "in.jsonl", *MIXED), on_error="skip", select=["C", "T"])
    ended = sftcli_here("verify", str(out), "--deep", deep)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("All checks passed: 3 rows")


def test_equal_runs_give_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_bytes(jsonl(*MIXED) * 200)
    found = []
    for name in ("a", "b"):
        make(name, "in.jsonl", on_error="quarantine", select=["ALL"], ignore=["D", "J02"])
        found.append(tree(Path(name)))
    assert found[0] == found[1]


def test_every_reason_to_drop_a_row_is_a_rule() -> None:
    assert [BY_NAME[name].code for name in ("too_long", "no_trained_tokens")] == ["T001", "T002"]
