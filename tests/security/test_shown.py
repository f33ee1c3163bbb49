"""What a stranger wrote is shown, and never obeyed: by a terminal, a browser, a CI system or a parser.

`test_findings.py` has every kind of text in every format of findings, `test_view.py` and `test_html.py`
in views, `browser/test_hostile.py` in a real browser, `test_stats.py` in plots, and `test_validate.py`
secrets. Here whole commands run on one file whose texts, keys and name are hostile.
"""

import json
import re
import shutil
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import Ended, write

import sftcli

Here = Callable[..., Ended]
BAD = (
    "\x1b[31mred\x1b]0;title\x07 \x9b2J \u202etfel\u202c \u200b\ufeff \x7f\r\n"
    "::error::forged\n##[error]forged ##vso[task.complete]\n%0A::error::forged "
    ']]> <script>alert(1)</script></style></title>" onload="alert(2) \' &amp; `code` \u2028 \x00 \x08'
)
NAME = "a\x1b[31m\u202e`<script>.jsonl"
LAID = 'prompt: "Q: {question} "\ncompletion: "{answer}"\n'
RECORDS = (
    {"question": BAD, "answer": BAD, BAD: BAD},
    {"question": "a", "answer": "b"},
    {"question": "a", "other" + BAD: "b"},
    {"question": "<|im_end|>" + BAD, "answer": 5},
)
ROW = ("-t", "demo", "--template", "own.yaml")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text(LAID)
    write(Path(NAME), *RECORDS)


def unsafe(text: str, breaks: str = "\n") -> set[str]:
    """The characters that a terminal would act on, or that hide or turn round what stands beside them."""
    hidden = {char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    return hidden - set(breaks)


def commands_in(text: str) -> list[str]:
    """Lines that a CI system would obey."""
    return [
        line
        for line in text.split("\n")
        if (re.match(r"\s*::", line) and not re.match(r"::(error|warning|notice) (title|file)=", line))
        or "##[" in line
        or "##vso[" in line
    ]


COMMANDS = {
    "prepare": ("prepare", NAME, *ROW, "-o", "out", "--on-error", "skip"),
    "prepare, stopped": ("prepare", NAME, *ROW, "-o", "out"),
    "inspect": ("inspect", NAME, *ROW),
    "inspect, raw": ("inspect", NAME, "--row", "0"),
    "stats": ("stats", NAME, *ROW),
    "validate": ("validate", NAME, *ROW),
    "validate, github": ("validate", NAME, *ROW, "--format", "github"),
    "an unknown template": ("inspect", NAME, "-t", "demo", "--template", BAD.replace("\0", "")),
    "an unknown file": ("validate", BAD.replace("\0", "")),
    "an unknown key": ("prepare", NAME, "-t", "demo", "--config", "odd.yaml", "-o", "out"),
}


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("case", COMMANDS)
def test_nothing_in_what_is_printed_is_obeyed(
    sftcli_here: Here, monkeypatch: pytest.MonkeyPatch, case: str, colour: bool
) -> None:
    Path("odd.yaml").write_text(json.dumps({"max_lenght" + BAD: 1}))
    if colour:
        monkeypatch.setenv("FORCE_COLOR", "1")
    ended = sftcli_here(*COMMANDS[case])
    assert ended.code in (0, 1, 2)
    said = ended.out + ended.err
    assert len(said) > 20
    ours = re.sub(r"\x1b\[[0-9;]*m", "", said) if colour else said
    assert unsafe(ours) == set()
    assert commands_in(ours) == []


@pytest.mark.parametrize("format_", ["json", "jsonl", "sarif", "junit"])
def test_findings_for_machines_are_well_formed(sftcli_here: Here, format_: str) -> None:
    ended = sftcli_here("validate", NAME, *ROW, "--format", format_)
    assert ended.code == 1
    assert unsafe(ended.out) == set()
    assert commands_in(ended.out) == []
    if format_ == "junit":
        found = ElementTree.fromstring(ended.out)  # noqa: S314
        assert {part.tag for part in found.iter()} <= {
            "testsuites",
            "testsuite",
            "testcase",
            "failure",
            "system-out",
            "properties",
            "property",
        }
    elif format_ == "jsonl":
        assert all(isinstance(json.loads(line), dict) for line in ended.out.splitlines())
    else:
        assert isinstance(json.loads(ended.out), dict)


class Tags(HTMLParser):
    """The tags of a page, and their attributes' names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}


def test_a_page_has_no_part_that_the_data_brought(sftcli_here: Here) -> None:
    write(Path("plain.jsonl"), {"question": "a", "answer": "b"}, {"question": "a", "answer": "b"})
    write(Path(NAME), *RECORDS[:2])
    for source, page in ((NAME, "hostile.html"), ("plain.jsonl", "plain.html")):
        ended = sftcli_here("inspect", source, *ROW, "--format", "html", "-o", page)
        assert ended.code == 0, ended.err
    hostile, plain = (Tags(Path(page).read_text("utf-8")) for page in ("hostile.html", "plain.html"))
    assert hostile.tags == plain.tags
    assert hostile.names == plain.names
    assert not {name for name in hostile.names if name.startswith("on")}
    assert unsafe(Path("hostile.html").read_text("utf-8")) == set()


def quarantined(sftcli_here: Here) -> list[str]:
    """The files beside the rows, of a run that puts the bad records aside."""
    ended = sftcli_here("prepare", NAME, *ROW, "-o", "out", "--on-error", "quarantine", "--quiet")
    assert ended.code in (0, 1)
    return [Path("out", name).read_text("utf-8") for name in ("rejects.jsonl", "manifest.json", "README.md")]


def test_files_beside_the_rows_hold_the_text_as_it_is(sftcli_here: Here) -> None:
    """rejects.jsonl and manifest.json are JSON: what they quote is read back as it was."""
    raw, manifest, _ = quarantined(sftcli_here)
    rejects = [json.loads(line) for line in raw.split("\n") if line]
    assert [reject["line"] for reject in rejects] == [3, 4]
    assert [json.loads(reject["raw"]) for reject in rejects] == list(RECORDS[2:])
    assert {reject["file"] for reject in rejects} == {NAME}
    assert json.loads(manifest)["inputs"][0]["file"] == NAME


def test_files_beside_the_rows_can_be_shown_in_a_terminal(sftcli_here: Here) -> None:
    assert [unsafe(text) for text in quarantined(sftcli_here)] == [set(), set(), set()]


@pytest.mark.parametrize("name", ["tk`<script>", "tk\n# Forged", "tk\x1b[31m", "tk` [a](javascript:b)"])
def test_a_dataset_card_is_not_written_by_a_name(sftcli_here: Here, name: str) -> None:
    shutil.copytree(Path(sftcli.__file__).parent / "data" / "demo", name)
    assert (
        sftcli_here(
            "prepare", NAME, "-t", name, "--template", "own.yaml", "-o", "out", "--on-error", "skip"
        ).code
        == 0
    )
    card = Path("out/README.md").read_text("utf-8")
    (line,) = (line for line in card.splitlines() if "and the tokenizer" in line)
    assert line.count("`") == 4
    assert "# Forged" not in card.splitlines()
    assert unsafe(card) == set()
