"""`sftcli validate --fix`: what is mended, what stays, and what is never written over."""

import json
import os
import re
import stat
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import Here, jsonl
from hypothesis import given
from hypothesis import strategies as st

from sftcli.config import load_config
from sftcli.errors import EnvironmentFault
from sftcli.validate.fix import MENDED, fix
from sftcli.validate.place import Places
from sftcli.validate.settings import Settings
from sftcli.validate.validate import validate
from sftcli.whole_file import whole_file

pytestmark = pytest.mark.usefixtures("own_folder")


def mended(given: bytes, *rules: str, **options: Any) -> bytes:
    """What becomes of a file whose rules (all of them, where none is named) are mended."""
    Path("data.jsonl").write_bytes(given)
    config = load_config(None, {"inputs": ["data.jsonl"], **options})
    fix(config, "mended.jsonl", frozenset(rules or MENDED))
    return Path("mended.jsonl").read_bytes()


def pair(prompt: str, completion: str) -> bytes:
    return jsonl({"prompt": prompt, "completion": completion})


MOVED = [
    ("Q: ", "\nA", "Q:", " \nA"),
    ("Q: ", " A", "Q:", "  A"),
    ("Q:\t ", "A", "Q:", "\t A"),
    ("Q:\n ", "A", "Q:\n", " A"),
    ("Q: \n", "A", "Q: \n", "A"),
]


@pytest.mark.parametrize(("prompt", "answer", "new_prompt", "new_answer"), MOVED)
def test_space_is_moved_and_none_is_lost(prompt: str, answer: str, new_prompt: str, new_answer: str) -> None:
    assert mended(pair(prompt, answer)) == pair(new_prompt, new_answer)
    assert prompt + answer == new_prompt + new_answer


def test_a_segment_of_nothing_but_space() -> None:
    given = {"segments": [{"text": " \t", "label": False}, {"text": "a", "label": True}]}
    made = {"segments": [{"text": "", "label": False}, {"text": " \ta", "label": True}]}
    assert mended(jsonl(given)) == jsonl(made)


TEXTS = st.lists(st.sampled_from([" ", "\t", "a", '"', "\\", "\n", "\u00e9", "\U0001f600", "]", "}"])).map(
    "".join
)


@given(st.lists(st.tuples(TEXTS, st.booleans()), min_size=1, max_size=5), st.booleans())
def test_segments_stay_json_and_say_the_same(parts: list[tuple[str, bool]], ascii_only: bool) -> None:
    given = {"segments": [{"text": text, "label": label} for text, label in parts]}
    made = json.loads(mended(json.dumps(given, ensure_ascii=ascii_only).encode()))["segments"]
    assert "".join(part["text"] for part in made) == "".join(text for text, _ in parts)
    assert [part["label"] for part in made] == [label for _, label in parts]
    if any(label and text.strip() for text, label in parts):  # or it is no good record
        for before, after in pairwise(made):
            assert before["label"] or not after["label"] or not before["text"].endswith((" ", "\t"))


@given(st.text(max_size=12), st.integers(0, 11), st.booleans(), st.booleans())
def test_a_column_is_that_of_the_character(text: str, at: int, ascii_only: bool, first: bool) -> None:
    """The slow way: the character is where a mark stands that takes its place."""
    text = text.encode(errors="ignore").decode().replace("\x01", "")
    if not text:
        return
    at = min(at, len(text) - 1)

    def line_of(text: str) -> str:
        part = {"text": text, "label": False}
        return json.dumps(
            {"n": "\u00e9", "segments": [part] if first else [0, part]}, ensure_ascii=ascii_only
        )

    marked = line_of(text[:at] + "\x01" + text[at + 1 :]).index("\\u0001") + 1
    assert Places(line_of(text)).column(("segments", int(not first), "text"), at) == marked


BOM = b"\xef\xbb\xbf"
GOOD = b'{"text": "a"}'
KEPT = [
    ("J021", BOM + GOOD + b"\r\n\n", GOOD + b"\r\n\n"),
    ("J022", BOM + GOOD + b"\r\n\r\n \r\n", BOM + GOOD + b"\n\n \n"),
    ("J023", BOM + GOOD + b"\r\n\r\n \r\n", BOM + GOOD + b"\r\n"),
    ("C012", BOM + GOOD + b"\r\n\n", BOM + GOOD + b"\r\n\n"),
    ("J023", b"\n" + BOM + GOOD + b"\n", BOM + GOOD + b"\n"),
    # What ends a last line stays, and so does what does not.
    ("C012", GOOD + b"\n" + GOOD, GOOD + b"\n" + GOOD),
    ("C012", GOOD + b"\n" + GOOD + b"\r", GOOD + b"\n" + GOOD + b"\r"),
    ("J022", GOOD + b"\r\n" + GOOD + b"\r", GOOD + b"\n" + GOOD),
    ("J022", GOOD + b"\r\r\n" + GOOD + b"\r\r\r", GOOD + b"\n" + GOOD),
    ("C012", GOOD + b"\r\r\n", GOOD + b"\r\r\n"),
    # A carriage return inside a line ends none.
    ("J022", b'{"text":\r"a"}\n', b'{"text":\r"a"}\n'),
    ("J023", b"\x0b\n\x0c \n" + GOOD, b"\x0b\n\x0c \n" + GOOD),
]


@pytest.mark.parametrize(("rule", "given", "made"), KEPT)
def test_only_the_selected_rule_is_mended(rule: str, given: bytes, made: bytes) -> None:
    assert mended(given, rule) == made
    assert mended(made, rule) == made


LINES = st.sampled_from([GOOD, b"", b" ", b"\x0b", b"[]", b"{", pair("a ", "b").strip(), b"\xff", b"\r", BOM])
BREAKS = st.sampled_from([b"\n", b"\r\n", b"\r\r\n"])


@given(st.lists(st.tuples(LINES, BREAKS), max_size=6), LINES, st.sets(st.sampled_from(MENDED)))
def test_what_is_mended_needs_no_more(lines: list[tuple[bytes, bytes]], last: bytes, on: set[str]) -> None:
    given = b"".join(line + end for line, end in [(pair("a", "b").strip(), b"\n"), *lines]) + last
    rules = tuple(on) or ("none",)
    made = mended(given, *rules, record_format="prompt_completion")
    assert mended(made, *rules, record_format="prompt_completion") == made
    if not on:
        assert made == given


@given(st.lists(st.tuples(LINES, BREAKS), max_size=9), LINES, st.sets(st.sampled_from(MENDED), min_size=1))
def test_as_many_are_mended_as_are_found(lines: list[tuple[bytes, bytes]], last: bytes, on: set[str]) -> None:
    given = b"".join(line + end for line, end in [(pair("a", "b").strip(), b"\n"), *lines]) + last
    Path("data.jsonl").write_bytes(given)
    config = load_config(None, {"inputs": ["data.jsonl"], "record_format": "prompt_completion"})
    found = validate(config, Settings(select=sorted(on)), count_all=True).findings
    counts = Counter(found.counts)
    for one in found.kept:  # a finding about a file tells how many lines it is about
        more = re.search(r", as (\d+) more do", one.message)
        counts[one.code] += int(more[1]) if more else 0
    assert fix(config, "mended.jsonl", frozenset(on)) == counts


def test_carriage_returns_of_blank_lines_are_counted(sftcli_here: Here) -> None:
    Path("data.jsonl").write_bytes(pair("a", "b").strip() + b"\r\n\r\n \r\n\n")
    found = sftcli_here("validate", "data.jsonl").out
    assert ":1:1: warning: J022 carriage_return: the line ends in a carriage return, as 2 more do" in found
    assert ":2:1: warning: J023 blank_line: the line is blank, as 2 more do" in found
    ended = sftcli_here("validate", "data.jsonl", "--fix", "-o", "mended.jsonl")
    assert ended.err == (
        "J022 carriage_return: 3 mended\nJ023 blank_line: 3 mended\n"
        "6 mended in all; written to mended.jsonl\n"
    )


def test_many_places_in_one_line_are_mended_at_once() -> None:
    """It would not end if the line were gone through for each of them."""
    before = [
        part
        for _ in range(30_000)
        for part in ({"text": "Q: ", "label": False}, {"text": "A", "label": True})
    ]
    after = [{**part, "text": {"Q: ": "Q:", "A": " A"}[str(part["text"])]} for part in before]
    assert mended(jsonl({"segments": before})) == jsonl({"segments": after})


def test_only_lines_of_a_file_end_in_carriage_returns() -> None:
    """Elements of a JSON array and rows of a table have none, however far apart they stand."""
    returned = {"data.jsonl": [1, 3], "last.jsonl": [2], "data.json": []}
    Path("data.jsonl").write_bytes(GOOD + b"\r\n" + GOOD + b"\n" + GOOD + b"\r\n")
    Path("last.jsonl").write_bytes(GOOD + b"\n" + GOOD + b"\r")
    Path("data.json").write_bytes(b"[" + GOOD + b",\n" + GOOD + b", \r\n" + GOOD + b"\r\n]\r\n")
    for name, lines in returned.items():
        found = validate(load_config(None, {"inputs": [name]}), Settings(select=["J022"])).findings
        assert [one.line for one in found.kept] == lines[:1]
        assert (" as 1 more does" in found.kept[0].message) == (len(lines) > 1) if lines else True


# Where it is written


def test_no_file_is_touched_but_the_one_that_is_named(sftcli_here: Here) -> None:
    Path("data.jsonl").write_bytes(pair("a ", "b"))
    Path("precious").write_text("kept")
    for name in ("mended.jsonl.unfinished", ".mended.jsonl.unfinished", "mended.jsonl.tmp"):
        Path(name).symlink_to("precious")
    assert sftcli_here("validate", "data.jsonl", "--fix", "-o", "mended.jsonl").code == 0
    assert Path("mended.jsonl").read_bytes() == pair("a", " b")
    assert Path("precious").read_text() == "kept"
    assert len(list(Path().iterdir())) == 6


def test_after_an_error_nothing_is_left(sftcli_here: Here) -> None:
    Path("data.jsonl.gz").write_bytes(b"\x1f\x8b\x08 cut")
    Path("mended.jsonl").write_text("before")
    assert sftcli_here("validate", "data.jsonl.gz", "--fix", "-o", "mended.jsonl").code == 1
    assert sorted(path.name for path in Path().iterdir()) == ["data.jsonl.gz", "mended.jsonl"]
    assert Path("mended.jsonl").read_text() == "before"
    with suppress(KeyError), whole_file("new") as out:
        out.write(b"half")
        raise KeyError
    assert sorted(path.name for path in Path().iterdir()) == ["data.jsonl.gz", "mended.jsonl"]


def test_a_link_stays_and_what_it_leads_to_is_written(sftcli_here: Here) -> None:
    Path("data.jsonl").write_bytes(pair("a ", "b"))
    Path("sub").mkdir()
    Path("sub/mended.jsonl").write_text("old")
    Path("sub/mended.jsonl").chmod(0o640)
    Path("link").symlink_to("sub/mended.jsonl")
    assert sftcli_here("validate", "data.jsonl", "--fix", "-o", "link").code == 0
    assert Path("link").is_symlink()
    assert Path("sub/mended.jsonl").read_bytes() == pair("a", " b")
    assert stat.S_IMODE(Path("sub/mended.jsonl").stat().st_mode) == 0o640
    assert [path.name for path in Path("sub").iterdir()] == ["mended.jsonl"]


def test_pipes_and_devices_are_refused(sftcli_here: Here) -> None:
    Path("data.jsonl").write_bytes(pair("a ", "b"))
    os.mkfifo("pipe")
    Path("null").symlink_to("/dev/null")
    for name in ("pipe", "/dev/null", "null", "/dev/stdout"):
        ended = sftcli_here("validate", "data.jsonl", "--fix", "-o", name)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err == f"error: --fix: -o {name}: is no plain file; name one, or a new one\n"
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)
    assert Path("null").is_symlink()


def test_a_folder_that_is_not_there() -> None:
    Path("data.jsonl").write_bytes(GOOD)
    config = load_config(None, {"inputs": ["data.jsonl"]})
    with pytest.raises(EnvironmentFault, match=r"^no/mended.jsonl: cannot be written: No such file"):
        fix(config, "no/mended.jsonl", frozenset(MENDED))


@pytest.mark.parametrize("fixing", [(), ("--fix",)])
@pytest.mark.parametrize("config", ["pyproject.toml", "../pyproject.toml", "gate.yaml"])
def test_the_settings_are_never_written_over(
    fixing: tuple[str, ...], config: str, sftcli_here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("sub").mkdir()
    monkeypatch.chdir("sub")
    Path("data.jsonl").write_bytes(pair("a ", "b"))
    text = "strict: true\n" if config.endswith("yaml") else "[tool.sftcli]\nstrict = true\n"
    Path(config).write_text(text)
    options = ("--config", config) if config.endswith("yaml") else ()
    ended = sftcli_here("validate", "data.jsonl", "-o", config, *options, *fixing)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"error: -o {config}: is what is read, and would be lost; name another file\n"
    assert Path(config).read_text() == text
