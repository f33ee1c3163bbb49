"""The rules on content: what a text is made of, wherever in a record it stands."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from conftest import Here, chat, write
from hypothesis import given
from hypothesis import strategies as st

from sftcli.config import load_config
from sftcli.errors import RecordError
from sftcli.findings.finding import Finding
from sftcli.parse import make_parser
from sftcli.parse.failure import UNSEEN, is_blank
from sftcli.validate import suspects
from sftcli.validate.beside import all_strings
from sftcli.validate.content import ContentRules
from sftcli.validate.place import Places
from sftcli.validate.settings import Settings
from sftcli.validate.texts import Text
from sftcli.validate.validate import validate

pytestmark = pytest.mark.usefixtures("own_folder")

TOKEN = "ghp_" + "1a2B3c4D5e6F7g8H9i0J1k2L3m4N5o6P7q8R"


def found(*records: dict[str, Any] | str, **settings: Any) -> list[Finding]:
    lines = [one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in records]
    Path("data.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return validate(load_config(None, {"inputs": ["data.jsonl"]}), Settings(**settings)).findings.kept


def flaws(name: str, answer: str) -> list[int | None]:
    return [flaw.at for flaw in ContentRules([name]).flaws(Text(answer, ("a",), "answer"))]


FENCES = [
    ("~~~\ncode\n```\n~~~", []),
    ("~~~py\ncode", [0]),
    ("```\n~~~\n```", []),
    ("Title\n~~~~~\ntext", []),
    ("~~~~\na\n~~~\nb\n~~~~", []),
    ("~~~\na\n```\n", [6]),
    ("A\n~~~\n\nB\n~~~~\n```py\n~~~", [14]),
]


@pytest.mark.parametrize(("answer", "places"), FENCES)
def test_fences_of_two_kinds(answer: str, places: list[int]) -> None:
    assert flaws("open_fence", answer) == places


THINKS = [
    ("`</think>` ends it.", []),
    ("Use `<think>` for it.", []),
    ("```\n</think>\n```", []),
    ("<think>about `</think>` first</think>So.", []),
    ("<think>it`s</think>that`s", []),
    ("I think <think> is a tag.", [8]),
    ("a ` b\n\n<think> c ` d", [7]),
    ("``a ` <think>`` b", []),
]


@pytest.mark.parametrize(("answer", "places"), THINKS)
def test_tags_in_code_are_talked_about(answer: str, places: list[int]) -> None:
    assert flaws("open_think", answer) == places


NOT_CUT = [
    "These are they:\n- apples and pears which are for",
    "1. First of all it is the",
    "| a table | of things | that are the",
    "## A heading that ends in the",
    "```\nfor x in the list of the",
    "    if a and b or not c and",
    "Name: the man who is the one with the",
]


@pytest.mark.parametrize("answer", NOT_CUT)
def test_what_is_no_sentence_is_not_cut(answer: str) -> None:
    assert flaws("cut_answer", answer) == []


# What cannot be seen


@pytest.mark.parametrize("text", ["", " ", "\u200b", "\ufeff\n", "\u2060\ufe0f", "\xad" * 200, "\x1c"])
def test_an_answer_that_cannot_be_seen_is_empty(text: str, sftcli_here: Here) -> None:
    assert is_blank(text)
    records: list[dict[str, Any]] = [{"instruction": "a", "output": text}, chat("a", text), chat(text, "a")]
    codes = []
    for record in records:
        [finding] = found(record)
        codes.append(finding.code)
        with pytest.raises(RecordError, match="empty"):
            make_parser("alpaca" if "output" in record else "messages", {})(record)
    assert codes == ["C001", "C001", "C002"]


@given(st.text(st.sampled_from(f"{UNSEEN}a.日😀"), max_size=6))
def test_blank_is_what_has_no_visible_character(text: str) -> None:
    assert is_blank(text) == (not set(text) & set("a.日😀"))


@pytest.mark.parametrize("text", ["a", "\u200bא\u200b", "☺\ufe0f", ".", "日"])
def test_what_can_be_seen_is_no_empty_answer(text: str) -> None:
    assert not is_blank(text)
    assert make_parser("alpaca", {})({"instruction": "a", "output": text}).messages[1].content == text


# Where strings stand


def call(arguments: object, name: str = "f") -> dict[str, Any]:
    asked = {"type": "function", "function": {"name": name, "arguments": arguments}}
    turn = {"role": "assistant", "content": None, "tool_calls": [asked]}
    return {"messages": [{"role": "user", "content": "a"}, turn]}


BAD = "Caf\u00c3\u00a9 \ufffd <|im_end|>"
BESIDE = [
    call({"k": BAD}),
    call({"k": ["x", {"y": BAD}]}),
    call({BAD: 1}),
    call(json.dumps({"k": BAD}, ensure_ascii=False)),
    call(json.dumps({"k": "x", "j": [BAD]})),
    call({}, name=BAD),
    {**chat("a", "b"), "tools": [{"type": "function", "function": {"name": "f", "description": BAD}}]},
    {**chat("a", "b"), "tools": json.dumps([{"name": "f", "description": BAD}])},
    {"messages": [*chat("a", "b")["messages"], {"role": "tool", "content": BAD}]},
    {
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b", "reasoning_content": BAD},
        ]
    },
    {
        "conversations": [
            {"from": "human", "value": "a"},
            {"from": "function_call", "value": json.dumps({"name": "f", "arguments": {"k": BAD}})},
        ]
    },
]


@pytest.mark.parametrize("record", BESIDE, ids=range(len(BESIDE)))
@pytest.mark.parametrize("ascii_only", [False, True])
def test_every_string_that_reaches_the_row_is_looked_at(record: dict[str, Any], ascii_only: bool) -> None:
    line = json.dumps(record, ensure_ascii=ascii_only)
    places = [(one.code, one.column) for one in found(line, select=["C005", "C006", "C007"])]
    assert [code for code, _ in places] == ["C007", "C006", "C005"]
    assert [line[column - 1 :][:1] for _, column in places if column] == [
        *(line[line.index("Caf") + 3], "\\" if "\\ufffd" in line else "\ufffd", "<")
    ]
    assert line[places[2][1] or 0 :].startswith("|im_end|>")


@pytest.mark.parametrize(
    "record",
    [
        {**chat("a", "b"), "meta": {"note": [f"see {TOKEN}"]}},
        {"prompt": "a", "completion": "b", "source": f"see {TOKEN}"},
        {"prompt": "a", "completion": f"see {TOKEN}"},
        {"prompt": "a", "completion": "b", f"see {TOKEN}": 1},
        {"prompt": "a", "completion": "b", "log": json.dumps({"x": f"see {TOKEN}"})},
        call(json.dumps({"token": f"see {TOKEN}"})),
    ],
)
def test_secrets_are_found_in_any_field(record: dict[str, Any]) -> None:
    line = json.dumps(record)
    assert [(one.code, one.column) for one in found(line)] == [("C015", line.index(TOKEN) + 1)]


VALUES = st.recursive(
    st.text(st.sampled_from('a"\\\n\u00e9\U0001f600<'), max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text('ab"\u00e9', max_size=2), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["k", "l"]), VALUES, max_size=2), st.booleans(), st.booleans())
def test_columns_are_those_of_the_characters(record: dict[str, Any], packed: bool, ascii_only: bool) -> None:
    """Each character of each string and key is found in the line, also where JSON stands in a string."""
    if packed:
        record = {"packed": json.dumps(record, ensure_ascii=ascii_only)}
    line = json.dumps(record, ensure_ascii=False)
    places = Places(line)
    for text in all_strings(record):
        for at, char in enumerate(text.text):
            there = line[places.of(text, at) - 1 :]
            spelled = json.dumps(char, ensure_ascii=ascii_only)[1:-1] if text.inner is not None else char
            assert there.startswith(json.dumps(spelled, ensure_ascii=False)[1:-1])


@given(st.dictionaries(st.sampled_from(["k", "l"]), VALUES, max_size=2), st.booleans(), st.data())
def test_a_column_does_not_hang_on_what_was_asked_before(
    record: dict[str, Any], ascii_only: bool, data: st.DataObject
) -> None:
    line = json.dumps(record, ensure_ascii=ascii_only)
    asked = [(text, at) for text in all_strings(record) for at in (None, *range(len(text.text) + 2))]
    places = Places(line)
    for text, at in data.draw(st.lists(st.sampled_from(asked), max_size=20)) if asked else []:
        assert places.of(text, at) == Places(line).of(text, at)


# Beside each other


def test_a_record_that_is_there_twice_is_told_once() -> None:
    write(Path("a.jsonl"), chat("Hi there", "Yes"))
    write(Path("b.jsonl"), chat("Hi there", "Yes"), chat("Hi there", "No"))
    config = load_config(None, {"inputs": ["a.jsonl", "b.jsonl"]})
    codes = [(one.code, one.line) for one in validate(config, Settings(select=["D"])).findings.kept]
    assert codes == [("D001", 1), ("D002", 2), ("D003", 2)]
    ignoring = Settings(select=["D"], ignore=["D001"])
    codes = [(one.code, one.line) for one in validate(config, ignoring).findings.kept]
    assert codes == [("D003", 1), ("D002", 2), ("D003", 2)]


def test_marks_are_found_in_parts_as_in_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that is long is searched part by part, and no mark is lost at a border or found beside it."""
    finder = suspects._Finder({"aab": 1, "ab": 2, "abba": 4, "b": 8, "ccc": 16, "ca": 32})
    chance = random.Random(3)
    for _ in range(2000):
        text = bytes(chance.choices(b"abc", k=chance.randint(0, 120)))
        monkeypatch.setattr(suspects, "_AT_ONCE", 1000)
        ((_, whole),) = finder.matches(text)
        monkeypatch.setattr(suspects, "_AT_ONCE", chance.randint(8, 40))
        parts = [(which, at + a, at + b) for at, found in finder.matches(text) for which, a, b in found]
        assert parts == whole
