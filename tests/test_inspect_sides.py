"""`inspect` of one split of a folder and of a config with several sources, and where a found text stands."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import Ended, Here, chat, make, write
from hypothesis import given
from hypothesis import strategies as st

from sftcli.config import load_config
from sftcli.engine import ReferenceEngine
from sftcli.errors import UsageError
from sftcli.tokenizer import Tokenizer, load_tokenizer
from sftcli.view.dataset import Dataset
from sftcli.view.find import Wanted, with_found
from sftcli.view.json import row_json
from sftcli.view.page import Screen
from sftcli.view.raw import RawData
from sftcli.view.row import RowView, row_from_columns
from sftcli.view.select import Search, Selection
from sftcli.view.views import VIEWS

pytestmark = pytest.mark.usefixtures("own_folder")

EVERY = Selection(span=(None, None))


def ids_of(tokenizer: Tokenizer, text: str) -> list[int]:
    return ReferenceEngine(tokenizer).one_shot(text)


def text(row: RowView) -> str:
    return "".join(token.text for token in row.tokens)


# One split of a folder


def two_sides(out: Path, **options: Any) -> None:
    source = write(
        Path("in.jsonl"), *(chat(f"Question {number}?", f"Answer {number}.") for number in range(40))
    )
    make(out, source, template="chatml", val_size="20%", **options)


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_rows_of_a_split_are_counted_from_its_first_one(format_: str) -> None:
    two_sides(Path("out"), format=format_)
    whole = Dataset(Path("out"))
    train, validation = (Dataset(Path("out"), split) for split in ("train", "validation"))
    assert whole.splits == ["train", "validation"]
    assert train.rows + validation.rows == whole.rows == 40
    assert 1 <= validation.rows <= 20

    rows = list(Search(whole, EVERY))
    for side, first in ((train, 0), (validation, train.rows)):
        own = list(Search(side, EVERY))
        assert [row.row for row in own] == list(range(side.rows))
        assert [row.place for row in own] == list(range(side.rows))
        assert [text(row) for row in own] == [text(row) for row in rows[first : first + side.rows]]
        assert {(row.split, row.source and row.source.line) for row in own} == {(side.split, None)}
    assert [(row.row, row.split, row.place) for row in rows[train.rows - 1 : train.rows + 1]] == [
        (train.rows - 1, "train", train.rows - 1),
        (train.rows, "validation", 0),
    ]
    assert row_json(rows[train.rows])["split"] == "validation"
    assert row_json(rows[train.rows])["row_in_split"] == 0


def test_a_split_is_searched_alone(sftcli_here: Here) -> None:
    two_sides(Path("out"))
    validation = [text(row) for row in Search(Dataset(Path("out"), "validation"), EVERY)]
    count = len(validation)
    ended = sftcli_here("inspect", "out", "--split", "validation", "--find", "Answer", "--max-rows", "1")
    assert ended.out.startswith("in.jsonl · row 0 · validation\n")
    assert ended.err == f"{count} of {count} rows match; the first is shown (--max-rows N shows more)\n"
    last = json.loads(
        sftcli_here("inspect", "out", "--split", "validation", "--row", "-1", "--format", "json").out
    )
    assert "".join(token["text"] for token in last["tokens"]) == validation[-1]
    ended = sftcli_here("inspect", "out", "--row", str(40 - count), "--view", "runs")
    assert ended.out.startswith(f"in.jsonl · row {40 - count} · validation 0\n")
    ended = sftcli_here("inspect", "out", "--split", "validation", "--row", str(count))
    assert ended.err == f"error: --row {count}: out (validation) has {count} rows, counted from 0\n"


def test_two_folders_are_compared_split_by_split(sftcli_here: Here) -> None:
    two_sides(Path("one"))
    two_sides(Path("other"), train_on="all")
    ended = sftcli_here("inspect", "one", "--split", "validation", "--against", "other")
    assert (ended.code, ended.out.splitlines()[0]) == (0, "in.jsonl · row 0 · validation")
    assert re.findall(r"\w+ \(validation\)", ended.out)[:2] == ["one (validation)", "other (validation)"]
    make("plain", "in.jsonl", template="chatml")
    ended = sftcli_here("inspect", "one", "--split", "validation", "--against", "plain")
    assert ended.err == (
        "error: --split validation: plain has train alone; `prepare --val-size` makes a validation split\n"
    )


def test_a_folder_of_one_split_says_nothing_of_it(sftcli_here: Here) -> None:
    make("out", write(Path("in.jsonl"), chat("Hi", "Yes")), template="chatml")
    [row] = Search(Dataset(Path("out"), "train"), EVERY)
    assert (row.split, row.place, row.source and row.source.line) == (None, None, 1)
    with pytest.raises(
        UsageError, match=r"^--split validation: out has train alone; `prepare --val-size` makes"
    ):
        Dataset(Path("out"), "validation")
    ended = sftcli_here("inspect", "in.jsonl", "-t", "demo", "--template", "chatml", "--split", "train")
    assert ended == Ended(
        2,
        "",
        "error: --split train: raw data has no splits yet; name a folder that `prepare --val-size` made\n",
    )


# Several sources

MIX = """\
tokenizer: demo
sources:
- name: sums
  inputs: [sums.jsonl]
  template: plain
  weight: 1
- name: talks
  inputs: [more.jsonl, talks.jsonl]
  template: chatml
  max_records: 3
  repeat: 3
  weight: 2
dedup: prompt
shuffle: true
val_size: 25%
"""


@pytest.fixture
def mix() -> str:
    write(Path("sums.jsonl"), *({"prompt": f"{n}+{n}=", "completion": str(2 * n)} for n in range(3)))
    write(Path("more.jsonl"), chat("Hi", "Hello"))
    write(Path("talks.jsonl"), chat("Bye", "Bye!"), {"messages": 1}, chat("Paris?", "Rome"), chat("x", "y"))
    Path("mix.yaml").write_text(MIX)
    return "mix.yaml"


def of_config(path: str, **options: Any) -> RawData:
    return RawData(load_config(path, options), encoded=True)


def test_the_records_of_several_sources_are_counted_through(mix: str) -> None:
    source = of_config(mix)
    rows = list(Search(source, EVERY))
    assert [(row.row, row.source and row.source.place, text(row)) for row in rows] == [
        (0, "sums.jsonl:1", "0+0=0<|im_end|>"),
        (1, "sums.jsonl:2", "1+1=2<|im_end|>"),
        (2, "sums.jsonl:3", "2+2=4<|im_end|>"),
        (3, "more.jsonl:1", talk("Hi", "Hello")),
        (4, "talks.jsonl:1", talk("Bye", "Bye!")),
    ]
    assert (source.bad, source.seen, source.name) == (1, 6, "3 inputs")  # three records of the second
    assert source.facts == {
        "source": "sums.jsonl, more.jsonl, talks.jsonl",
        "template": "plain + chatml",
        "records": "prompt_completion + messages",
        "tokenizer": load_tokenizer("demo").name,
        "trained": "assistant turns, terminator of each trained turn",
    }


def talk(asked: str, answer: str) -> str:
    return f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        (Selection(rows=(-2, 0)), [4, 0]),
        (Selection(rows=(3,)), [3]),
        (Selection(span=(2, 5)), [2, 3, 4]),
        (Selection(text=Wanted(("Bye",))), [4]),
        (Selection(ranking="longest", most=2), [4, 3]),
        (Selection(span=(None, None), sample=99), [0, 1, 2, 3, 4]),
        (Selection(marks=("no-terminator",)), []),
    ],
)
def test_rows_of_several_sources_are_selected_as_those_of_one(
    mix: str, selection: Selection, numbers: list[int]
) -> None:
    every = {row.row: row for row in Search(of_config(mix), EVERY)}
    assert list(Search(of_config(mix), selection)) == [every[number] for number in numbers]


@pytest.mark.parametrize(("limit", "numbers"), [(2, [0, 1]), (4, [0, 1, 2, 3]), (99, [0, 1, 2, 3, 4])])
def test_a_limit_is_for_all_sources_together(mix: str, limit: int, numbers: list[int]) -> None:
    assert [row.row for row in Search(of_config(mix, limit=limit), EVERY)] == numbers


def test_rows_are_those_that_prepare_writes(mix: str) -> None:
    Path("mix.yaml").write_text(
        MIX.partition("dedup")[0].replace("repeat: 3", "repeat: 1").replace("weight", "#")
    )
    from sftcli.pipeline import prepare

    prepare(load_config("mix.yaml", {"output": "out", "on_error": "skip"}), overwrite=False)
    written = [
        (text(row), [token.label for token in row.tokens]) for row in Search(Dataset(Path("out")), EVERY)
    ]
    raw = [(text(row), [token.label for token in row.tokens]) for row in Search(of_config(mix), EVERY)]
    assert raw == written


def test_an_option_to_compare_with_is_changed_in_every_source(sftcli_here: Here, mix: str) -> None:
    asked = ("inspect", "--config", mix, "--row", "0", "--row", "4", "--against")
    ended = sftcli_here(*asked, "train_on=all")
    assert ended.code == 0
    assert ended.out.count("train_on=assistant") == ended.out.count("train_on=all") > 1
    ended = sftcli_here(*asked, "template=zephyr")
    assert ended.code == 0
    assert ended.out.count("template=plain + chatml") == ended.out.count("template=zephyr") > 1


def test_what_is_said_of_several_sources(sftcli_here: Here, mix: str) -> None:
    ended = sftcli_here("inspect", "--config", mix, "--rows", ":", "--view", "runs")
    assert ended.code == 0
    assert ended.err == (
        "warning: 1 bad record passed over; the first: talks.jsonl:2:14: R003 wrong_type: messages: expected "
        "a list of messages, found a number\n"
    )
    Path("mix.yaml").write_text(MIX.replace("  template: plain\n", ""))
    ended = sftcli_here("inspect", "--config", mix, "--row", "0", "--view", "runs")
    assert ended.err.startswith("sums: layout: template ")
    ended = sftcli_here("inspect", "talks.jsonl", "--config", mix)
    assert ended == Ended(2, "", ended.err)
    assert "talks.jsonl is given beside `sources`" in ended.err


# What is said where nothing can be shown


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("--find Zebra", "none of 4 rows matches; case counts: --find-regex '(?i)Zebra' ignores it"),
        ("--find 2+2", "none of 4 rows matches"),
        (
            "--row 1 --find zebra",
            "the one row searched does not match; case counts: --find-regex '(?i)zebra' ignores it",
        ),
        ("--rows 9:", "none of the 4 rows of out is in --rows 9:"),
        ("--rows 9: --find a", "none of the 4 rows of out is in --rows 9:"),
        ("--rows 9: --sample 3", "none of the 4 rows of out is in --rows 9:"),
        ("--rows 9: --only longest", "none of the 4 rows of out is in --rows 9:"),
        ("--rows 2:2", "--rows 2:2 is empty: it ends where it begins, or before"),
        ("--rows -1:-3", "--rows -1:-3 is empty: it ends where it begins, or before"),
        ("--id 7", "none of 4 rows matches"),
        (
            "--id topic=x",
            "none of 4 rows matches: there is no column 'topic'; --id KEY=VALUE looks at another",
        ),
        ("--sample 3 --find Paris", "1 drawn from 1 that matches of 4 rows (seed 0)"),
        ("--find Paris", "1 of 4 rows matches"),
    ],
)
def test_what_is_said_of_a_search(sftcli_here: Here, asked: str, said: str) -> None:
    records = (chat("Hi", "Paris" if number == 2 else "Rome") for number in range(4))
    source = write(Path("in.jsonl"), *({"id": str(n), **record} for n, record in enumerate(records)))
    make("out", source, template="chatml", keep=["id"])
    ended = sftcli_here("inspect", "out", *asked.split(), "--view", "runs")
    assert (ended.code, ended.err) == (0, f"{said}\n")


# What was found

PIECES = ["a", "b", "ab", " ", "\n", "é", "😀", "日本", "e\u0301", "\x1b", "<|im_end|>"]
FINDS = st.lists(
    st.sampled_from(["a", "ab", "ba", "b ", "é", "😀", "本", "\u0301", "\x1b", "<|im_"]), max_size=3
)
PATTERNS = st.lists(st.sampled_from(["a+", "b*", "[^a]", "^", "$", "a|ab", "(?i)A B"]), max_size=2)


@given(st.lists(st.sampled_from(PIECES)).map("".join), FINDS, PATTERNS)
def test_what_is_wanted_is_found_where_it_stands(text: str, texts: list[str], patterns: list[str]) -> None:
    wanted = Wanted(tuple(texts), tuple(map(re.compile, patterns)))
    covered = {
        place
        for pattern in (*map(re.escape, texts), *patterns)
        for match in re.finditer(pattern, text)
        for place in range(*match.span())
    }
    places = wanted.places_in(text)
    assert {place for start, stop in places for place in range(start, stop)} == covered
    assert all(start < stop for start, stop in places)
    assert all(before[1] <= after[0] for before, after in pairwise(places))


@given(st.lists(st.sampled_from(PIECES)).map("".join), FINDS, st.sampled_from([24, 40, 80]))
def test_what_was_found_has_a_line_below_it(text: str, texts: list[str], width: int) -> None:
    demo = load_tokenizer("demo")
    ids = ids_of(demo, text)
    plain = row_from_columns(demo, ids, ids, 0)
    view = with_found(plain, Wanted(tuple(texts)))
    screen = Screen(False, width)
    for name, show in VIEWS.items():
        shown, without = show(view, screen).split("\n"), show(plain, screen).split("\n")
        carets = [line for line in shown if re.fullmatch(r" *\^[ ^]*", line)]
        assert [line for line in shown if line not in carets] == without, name
        if name in ("text", "table"):
            assert bool(carets) == bool(view.found), name


def test_padding_is_not_found() -> None:
    demo = load_tokenizer("demo")
    end = demo.control_tokens["<|im_end|>"].id
    ids = [end, end, *ids_of(demo, "ab"), end, end]
    mask = [0, 0, *[1] * (len(ids) - 3), 0]
    view = row_from_columns(demo, ids, [-100] * len(ids), 0, attention_mask=mask)
    found = with_found(view, Wanted(("<|im_end|>", "b")))
    assert found.found == ((21, 22), (22, 32))  # of three ends the one in the row, and the b before it
