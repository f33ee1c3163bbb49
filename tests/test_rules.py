"""The catalogue of rules: each has an example that breaks it alone, and one that breaks none."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Here

import sftcli
from sftcli.errors import UsageError
from sftcli.rules.catalogue import BY_NAME, FAMILIES, RULES, selected
from sftcli.rules.rule import Rule
from sftcli.templates import builtin_names, load_template
from sftcli.validate.content import CONTROL_TEXTS
from sftcli.validate.secrets import _TOKENS, ANCHORS

PACKAGE = Path(sftcli.__file__).parent
DOCS = PACKAGE.parent / "docs"
OFF = [rule.code for rule in RULES.values() if not rule.default]


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: f"{rule.code}-{rule.name}")
def test_examples_break_their_own_rule_and_their_cures_none(
    rule: Rule, sftcli_here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = codes(sftcli_here, rule, rule.example)
    assert found == [rule.code]
    for old in tmp_path.iterdir():
        old.unlink()
    assert codes(sftcli_here, rule, rule.instead) == []


def codes(run: Here, rule: Rule, example: str) -> list[str]:
    """The codes of what is found in an example, in the current folder."""
    if example.startswith("$ "):
        script = re.sub(r"^\$ ", "", example, flags=re.MULTILINE)
        # `python` is the one that runs these tests, whatever there is on the way to it.
        own = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
        subprocess.run(["sh", "-e", "-c", script], check=True, env=own)
    else:
        Path("data.jsonl").write_bytes(example.encode(errors="surrogateescape") + b"\n")
    inputs = sorted(str(path) for path in Path().glob("data.*"))
    ended = run(
        "validate", *inputs, *shlex.split(rule.options), "--extend-select", rule.code, "--format", "jsonl"
    )
    assert ended.err == ""
    found = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.code == int(any(finding["severity"] == "error" for finding in found))
    return [finding["code"] for finding in found]


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.code)
def test_rules_are_written_out(rule: Rule) -> None:
    assert re.fullmatch(r"[JRCTD]\d{3}", rule.code)
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", rule.name)
    assert rule.summary.endswith(".")
    assert ". " not in rule.summary
    assert rule.cure.endswith((".", ")"))


def test_names_and_codes_are_each_given_once() -> None:
    from sftcli.rules import content, dataset, files, lines, records, tokens

    listed = [rule for family in (lines, files, records, content, tokens, dataset) for rule in family.RULES]
    assert (
        len({rule.code for rule in listed})
        == len({rule.name for rule in listed})
        == len(listed)
        == len(RULES)
    )
    assert {code[0] for code in RULES} == set(FAMILIES)


# Every error that inner code raises about data


def raised(tree: ast.AST) -> Iterator[str]:
    """The codes that errors of records and files are made with, as far as they are written out."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        first = node.args[0] if node.args else None
        if node.func.id in ("RecordError", "fail", "Fault") and isinstance(first, ast.Constant):
            yield str(first.value)
        if node.func.id == "FileError":
            yield from (
                str(k.value.value)
                for k in node.keywords
                if isinstance(k.value, ast.Constant) and k.arg == "code"
            )


def test_every_error_about_data_has_a_rule() -> None:
    # `templates check` has errors of its own, and the settings of a run are not data.
    # Parts below the package alone: the clone itself may lie in a folder named "check".
    files = [
        path
        for path in PACKAGE.rglob("*.py")
        if not {"check", "verify"} & set(path.relative_to(PACKAGE).parts)
    ]
    found = {code: path.name for path in files for code in raised(ast.parse(path.read_bytes()))}
    assert len(found) > 40
    assert {code: file for code, file in found.items() if code not in BY_NAME} == {}


def test_tables_of_codes_hold_only_codes_that_have_rules() -> None:
    from sftcli import json_text
    from sftcli.jinja import program
    from sftcli.read import sniff

    words = {code for code, _ in json_text._PLAINER.values()} | {code for _, code, _ in sniff._FOREIGN}
    words |= set(re.findall(r'code, reason = "(\w+)"', Path(program.__file__).read_text()))
    words |= set(re.findall(r'code = "(\w+)"', Path(json_text.__file__).read_text()))
    assert len(words) > 8
    assert words - BY_NAME.keys() == set()


# Which rules are on

ALL_BUT_OFF = frozenset(RULES) - set(OFF)


def test_all_rules_are_on_but_those_that_guess() -> None:
    assert selected() == ALL_BUT_OFF
    assert OFF == ["C013", "C016"]


@pytest.mark.parametrize(
    ("select", "extend", "ignore", "expected"),
    [
        (["J"], [], [], {code for code in RULES if code[0] == "J"}),
        (["C"], [], [], {code for code in ALL_BUT_OFF if code[0] == "C"}),
        (["C013"], [], [], {"C013"}),
        (["cut-answer"], [], [], {"C013"}),
        (["c013"], [], [], {"C013"}),
        (["ALL"], [], [], set(RULES)),
        (["ALL"], [], ["T", "D"], {code for code in RULES if code[0] not in "TD"}),
        ([], ["C013"], [], ALL_BUT_OFF | {"C013"}),
        ([], [], ["C"], {code for code in ALL_BUT_OFF if code[0] != "C"}),
        (["C001"], [], ["C"], {"C001"}),  # the more exact one counts
        (["C"], [], ["C001"], {code for code in ALL_BUT_OFF if code[0] == "C"} - {"C001"}),
        (["C001"], [], ["C001"], set()),
        (["J00"], [], [], {f"J00{digit}" for digit in range(1, 10)}),
    ],
)
def test_selectors(select: list[str], extend: list[str], ignore: list[str], expected: set[str]) -> None:
    assert selected(select, extend, ignore) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("C0001", "did you mean C001 (empty_answer)?"),
        ("mojibak", "did you mean C007 (mojibake)?"),
        ("empty-anser", "did you mean C001 (empty_answer)?"),
        ("xyz", "`sftcli rules` lists them"),
        ("", "`sftcli rules` lists them"),
    ],
)
def test_unknown_selectors_name_the_nearest_rule(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as problem:
        selected([text])
    assert str(problem.value) == f"no rule {text!r}; {hint}"


# Tables that must keep up with others


def test_control_texts_of_all_built_in_templates_are_known() -> None:
    templates = [load_template(name) for name in builtin_names()]
    assert {text for template in templates for text in template.control_tokens} <= set(CONTROL_TEXTS)


def test_every_form_of_a_token_has_an_anchor() -> None:
    """Text without an anchor is not looked at, so a form without one would never be found."""
    for what, form in _TOKENS:
        plain = (
            form.replace("(?:AKIA|ASIA)", "AKIA")
            .replace("gh[pousr]_", "ghp_")
            .replace("xox[abeprs]-", "xoxb-")
        )
        plain = plain.replace("[rs]k_live_", "sk_live_").replace("\\", "")
        assert any(anchor in plain for anchor in ANCHORS), what


# Commands and docs


def test_the_page_of_rules_is_current(sftcli_here: Here) -> None:
    page = (DOCS / "rules.md").read_text(encoding="utf-8")
    ended = sftcli_here("rules", "--format", "markdown")
    assert ended.out == page, "run: sftcli rules --format markdown > docs/rules.md"


def test_one_rule_is_explained(sftcli_here: Here) -> None:
    ended = sftcli_here("rules", "c012")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "C012 prompt_ends_in_space (warning)\n"
        "\n"
        "A prompt that the answer follows at once ends in a space or a tab. Begin the\n"
        "answer with the space, as most tokens begin with theirs; --fix moves it there.\n"
        "\n"
        "Breaks it:\n"
        '  {"prompt": "Capital: ", "completion": "Paris"}\n'
        "\n"
        "Does not:\n"
        '  {"prompt": "Capital:", "completion": " Paris"}\n'
    )


def test_a_byte_that_is_no_text_is_shown_as_one(sftcli_here: Here) -> None:
    assert '  {"prompt": "Caf\\xe9?", "completion": "Yes."}\n' in sftcli_here("rules", "J001").out


def test_families_are_listed_and_several_rules_explained(sftcli_here: Here) -> None:
    listed = sftcli_here("rules", "d").out.splitlines()
    assert listed[0] == "D  the data set as a whole"
    assert listed[1].startswith("D001  warning  duplicate_record: A record says the same")
    assert [line[:15] for line in listed if line[:1] == "D"][4:] == [
        "D004  error    ",
        "D005  error    ",
        "D006  warning  ",
    ]
    assert sftcli_here("rules", "J02").out.splitlines()[0] == "J  bytes, JSON and files"
    both = sftcli_here("rules", "J002", "open-fence").out
    assert re.findall(r"^[A-Z]\d+ .*\)$", both, re.MULTILINE) == [
        "J002 json (error)",
        "C010 open_fence (warning)",
    ]
    assert both.startswith(sftcli_here("rules", "J002").out)
    found = json.loads(sftcli_here("rules", "V", "J001", "--format", "json").out)
    assert [rule["code"][0] for rule in found] == ["V"] * (len(found) - 1) + ["J"]
    assert sftcli_here("rules", "X", "J001").code == 2


def test_rules_as_json_are_all_there(sftcli_here: Here) -> None:
    ended = sftcli_here("rules", "--format", "json")
    found = json.loads(ended.out)
    assert [rule["code"] for rule in found][: len(RULES)] == list(RULES)
    assert set(found[0]) == {
        "code",
        "name",
        "severity",
        "summary",
        "example",
        "cure",
        "default",
        "instead",
        "options",
    }
    assert any(rule["code"].startswith("V") for rule in found)


def test_an_unknown_rule_names_the_nearest_one(sftcli_here: Here) -> None:
    ended = sftcli_here("rules", "C0012")
    assert (ended.code, ended.out) == (2, "")
    assert "no rule 'C0012'; did you mean C012 (prompt_ends_in_space)?" in ended.err


def test_rules_fit_a_terminal(sftcli_here: Here) -> None:
    assert os.environ["COLUMNS"] == "80"
    lines = sftcli_here("rules").out.splitlines()
    assert max(map(len, lines)) <= 80
