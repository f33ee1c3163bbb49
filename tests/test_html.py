"""The page of rows without a browser: what stands in the file. `tests/browser` opens it in one."""

import io
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import accumulate
from typing import Any

import pytest
from conftest import EXAMPLES
from hypothesis import given
from hypothesis import strategies as st

from sftcli.config import load_config
from sftcli.view.cells import cells
from sftcli.view.heading import MEANING
from sftcli.view.html import query_for, write_html
from sftcli.view.raw import RawData
from sftcli.view.row import RowView, Source, TokenView
from sftcli.view.select import Search, Selection

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>",
    "\u2028\u2029",
    "\u202eevil\u202c",
    "\0\r\x1b[2J",
    "{{style}}",
    "&lt;b&gt; &amp;",
    "日本語 😀",
    "\ud800",
]


class Parsed(HTMLParser):
    """What a browser's parser sees: the elements, the text of each, and the data blocks."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.texts: dict[str, str] = {}
        self.blocks: list[Any] = []
        self.policy = ""
        self._data = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        self._data = named.get("type") == "application/json"
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"] or ""

    def handle_data(self, data: str) -> None:
        if self._data and data.strip():
            self.blocks.append(json.loads(data))
            self._data = False
        self.texts[self.tags[-1] if self.tags else ""] = data


def page_of(rows: list[RowView], title: str = "rows", **facts: str) -> str:
    out = io.StringIO()
    assert write_html(iter(rows), out, title, facts) == len(rows)
    return out.getvalue()


def numbers(packed: str) -> list[int]:
    found, number, shift = [], 0, 0
    for digit in map(DIGITS.index, packed):
        number += (digit & 31) << shift
        shift += 5
        if digit < 32:
            found.append(number)
            number = shift = 0
    return found


def flags(packed: str) -> list[bool]:
    return [bool(run % 2) for run, length in enumerate(numbers(packed)) for _ in range(length)]


def read_back(page: str) -> list[RowView]:
    """The rows that a page holds, unpacked in the plainest way."""
    *blocks, shared = Parsed(page).blocks
    groups, ids = dict(shared["groups"]), numbers(shared["ids"])
    views = []
    for packed in (row for block in blocks for row in block):
        entries, trained = numbers(packed.get("tokens", "")), flags(packed.get("mask", ""))
        padding = flags(packed.get("padding", "")) or [False] * len(entries)
        padding += [False] * (len(entries) - len(padding))
        speakers = numbers(packed.get("speakers", ""))
        spoken = [
            shared["speakers"][a]
            for a, b in zip(speakers[::2], speakers[1::2], strict=True)
            for _ in range(b)
        ]
        odd = dict(packed.get("labels", []))
        losses = numbers(packed.get("losses", "")) or [0] * len(entries)
        weighed = numbers(packed.get("weights", ""))
        weights = [
            shared["weights"][a] for a, b in zip(weighed[::2], weighed[1::2], strict=True) for _ in range(b)
        ] or [""] * len(entries)
        tokens = tuple(
            TokenView(
                i=i,
                id=ids[entry],
                text=shared["texts"][entry],
                label=odd.get(i, ids[entry] if trained[i] else -100),
                trained=trained[i],
                control=entry in shared["control"],
                origin=spoken[i][2],
                turn=spoken[i][0],
                role=spoken[i][1],
                group=groups.get(entry, 1),
                padding=padding[i],
                loss=None if losses[i] == 0 else math.inf if losses[i] == 1 else (losses[i] - 2) / 1000,
                weight=float(weights[i]) if weights[i] else None,
            )
            for i, entry in enumerate(entries)
        )
        file = packed.get("file")
        about = packed.get("about", [])
        split, _, place = packed.get("split", "").partition(" ")
        names = [name for name, _ in about[0][2]] if about else []
        of_documents = ((name, tuple(dict(own)[name] for *_, own in about)) for name in names)
        views.append(
            RowView(
                packed["row"],
                None if file is None else Source(shared["files"][file], packed["line"]),
                tokens,
                id=packed.get("id"),
                documents=tuple(packed.get("documents", ())),
                sources=tuple(Source(shared["files"][a], b) for a, b, _ in about if a is not None),
                fields=(*(tuple(field) for field in packed.get("fields", [])), *of_documents),
                answer=packed.get("answer"),
                split=split or None,
                place=int(place.replace(",", "")) if split else None,
                dropped=packed.get("dropped"),
                marks=tuple(packed.get("marks", ())),
            )
        )
    return views


def plain_row(*texts: str, **options: Any) -> RowView:
    tokens = (TokenView(i, i, text, -100, False, False) for i, text in enumerate(texts))
    return RowView(0, None, tuple(tokens), **options)


@st.composite
def some_rows(draw: st.DrawFn) -> RowView:
    size = draw(st.integers(0, 40))
    tokens = []
    for i in range(size):
        id_, trained = draw(st.integers(0, 200_000)), draw(st.booleans())
        usual = id_ if trained else -100
        tokens.append(
            TokenView(
                i=i,
                id=id_,
                text=draw(st.text(max_size=4)),
                label=draw(st.sampled_from([usual, usual, usual, 5])),
                trained=trained,
                control=draw(st.booleans()),
                origin=draw(st.sampled_from([None, "template", "content"])),
                turn=draw(st.sampled_from([None, 0, 1, 40])),
                role=draw(st.sampled_from([None, "user", "assistant"])),
                group=draw(st.sampled_from([1, 1, 1, 0, 2])),
                padding=draw(st.sampled_from([False, False, True])),
                loss=draw(st.sampled_from([None, 0.0, 0.125, 3.5, 40.0, math.inf])),
                weight=draw(st.sampled_from([None, 0.0, 0.1, 1.0, 1e-7])),
            )
        )
    documents = draw(st.sampled_from([(), (3, 4)]))
    of_documents = (("topic", ("a", "b")),) if documents and draw(st.booleans()) else ()
    split = draw(st.sampled_from([None, "train", "validation"]))
    return RowView(
        draw(st.integers(0, 10**9)),
        draw(st.sampled_from([None, Source("a.jsonl", 1), Source("b.jsonl", 10**7)])),
        tuple(tokens),
        id=draw(st.sampled_from([None, "seven"])),
        documents=documents,
        sources=draw(st.sampled_from([(), (Source("c.jsonl", 7), Source("a.jsonl", None))]))
        if documents
        else (),
        fields=(*draw(st.sampled_from([(), (("length", "7"), ("a b", "c"))])), *of_documents),
        answer=None if documents else draw(st.sampled_from([None, 0, 3])),
        split=split,
        place=None if split is None else draw(st.integers(0, 10**7)),
        dropped=draw(st.sampled_from([None, "too_long"])),
        marks=draw(st.sampled_from([(), ("straddle",)])),
    )


@given(st.lists(some_rows(), max_size=5))
def test_a_page_holds_its_rows_whole(rows: list[RowView]) -> None:
    assert read_back(page_of(rows)) == rows


def test_real_rows_are_held_whole() -> None:
    files = {"chat.jsonl": "chatml", "alpaca.jsonl": "alpaca"}
    for file, template in files.items():
        config = load_config(
            None, {"inputs": [str(EXAMPLES / file)], "tokenizer": "demo", "template": template}
        )
        data = RawData(config)
        rows = [data.view(item) for item in Search(data, Selection(span=(0, 10))).items()]
        assert len(rows) == 10
        assert read_back(page_of(rows)) == rows


def test_more_rows_than_one_block_holds_keep_their_order() -> None:
    rows = [replace(plain_row("a", str(number)), row=number) for number in range(450)]
    page = page_of(rows)
    assert [len(block) for block in Parsed(page).blocks[:-1]] == [200, 200, 50]
    assert read_back(page) == rows


def test_the_same_rows_give_the_same_bytes() -> None:
    rows = [plain_row(*HOSTILE), plain_row("b", marks=("straddle",))]
    assert page_of(rows, "t", a="1", b="2") == page_of(rows, "t", a="1", b="2")


def test_data_is_never_markup() -> None:
    usual = Parsed(page_of([plain_row("a", id="a", dropped="a")], "a", a="a"))
    for text in HOSTILE:
        token = replace(plain_row(text).tokens[0], role=text)
        row = RowView(
            0, Source(text, 1), (token,), id=text, dropped=text, marks=(text,), fields=((text, text),)
        )
        packed = replace(row, documents=(1,), sources=(Source(text, 1),), fields=((text, (text,)),))
        page = page_of([row, packed], text, **{text: text})
        assert page.isascii()
        assert Parsed(page).tags == usual.tags
        assert read_back(page)[0].tokens[0].text == text


def test_title_and_facts_stand_at_the_head_as_text() -> None:
    parsed = Parsed(page_of([], "<b>\u202e & {{facts}}", template="<i>"))
    assert parsed.texts["title"].strip() == ""
    head = page_of([], "<b>\u202e & {{facts}}", template="<i>")
    assert "<title>&lt;b&gt;\\u202e &amp; {{facts}}</title>" in head
    assert "<div><dt>template</dt><dd>&lt;i&gt;</dd></div>" in head


def test_what_marks_mean_is_said_as_in_the_terminal() -> None:
    page = page_of([plain_row("a", marks=("straddle",))])
    [*_, shared] = Parsed(page).blocks
    assert dict(shared["meanings"]) == MEANING
    assert [page.count(meaning) for meaning in MEANING.values()] == [1] * len(MEANING)


def test_a_field_is_one_line_of_text_and_cut_where_it_is_long() -> None:
    fields = (("a\nb", "x\u202e" + "y" * 400), ("n", 7), ("f", 0.5), ("ok", True), ("id", "seven"))
    [[row], _] = Parsed(page_of([plain_row("a", fields=fields, id="seven")])).blocks
    assert row["fields"] == [
        ["a\\nb", "x\\u202e" + "y" * 398 + "\u2026"],
        *(["n", "7"], ["f", "0.5"], ["ok", "true"]),
    ]
    fields = (("length", 2), ("id", ("p", "q")))
    [[row], _] = Parsed(page_of([plain_row("a", "b", fields=fields, documents=(1, 1))])).blocks
    assert row["fields"] == [["length", "2"]]
    assert row["about"] == [[None, None, [["id", "p"]]], [None, None, [["id", "q"]]]]


@pytest.mark.parametrize(
    ("texts", "query"),
    [
        ([], ""),
        (["a.b (c)"], "a.b (c)"),
        (["/a/"], "/\\/a\\//"),
        (["a\nb"], "/a\\nb/"),
        (["a|b", "c*", "\\d"], "/a\\|b|c\\*|\\\\d/"),
    ],
)
def test_the_page_looks_for_what_its_rows_were_found_by(texts: list[str], query: str) -> None:
    assert query_for(texts) == query
    out = io.StringIO()
    write_html([plain_row("a")], out, "rows", {}, query)
    assert Parsed(out.getvalue()).blocks[-1].get("query", "") == query


def test_nothing_in_a_page_leads_out_of_it() -> None:
    page = page_of([plain_row("a")])
    assert not re.findall(
        r"""(?:src|href)=["'](?!data:)|@import|url\(|https?://(?!www\.w3\.org/2000/svg)""", page
    )
    policy = Parsed(page).policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy


def test_what_would_not_be_seen_is_named_by_its_place() -> None:
    # A row's places are as its text reads: an accent on the letter before it shows, alone it would not.
    page = page_of([plain_row("😀e", "\u0301", "\u202e", " \u0301")])
    [row], shared = Parsed(page).blocks
    assert list(
        accumulate(numbers(row[0]["written"]) if isinstance(row, list) else numbers(row["written"]))
    ) == [4]
    assert shared["written"] == [[1, [0]], [2, [0]]]


@given(
    st.lists(
        st.text(st.sampled_from("ae 😀\u0301\u200d\u202e\u00ad↵\n日👩🏽\ufe0f\u1161\0"), max_size=5),
        max_size=6,
    )
)
def test_the_places_are_those_of_the_cells(texts: list[str]) -> None:
    [[row], _] = Parsed(page_of([plain_row(*texts)])).blocks
    places, at = [], 0
    for cell in cells("".join(texts)):
        one = "\U00010000" if cell.text.startswith(r"\U") else "a"
        if cell.kind == "escape":
            places.append(at)
        at += len((one if cell.kind == "escape" else cell.text).encode("utf-16-le")) // 2
    assert list(accumulate(numbers(row.get("written", "")))) == places
