"""What a person is shown.

A golden case (golden/view-*.txt) is a record or more and, for each view and screen, the whole text
that is shown; in coloured text \\e stands for ESC. `python tests/test_view.py` writes them anew, and
the diff is there to be read.
"""

import re
from dataclasses import replace
from functools import cache
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftcli.batch import TokenBatch
from sftcli.conversation import Conversation, Message
from sftcli.encode import Encoder
from sftcli.engine import ReferenceEngine
from sftcli.errors import TokenizerError
from sftcli.mask import MaskPolicy
from sftcli.render import render_chat, render_prompt
from sftcli.rendered import Rendered
from sftcli.templates import RoleTemplate, load_template, template_from_file
from sftcli.tokenizer import Tokenizer, load_tokenizer
from sftcli.view.cells import one_line, width_of
from sftcli.view.compare import Side, compare
from sftcli.view.diff import show_diff
from sftcli.view.find import Wanted, with_found
from sftcli.view.json import row_json
from sftcli.view.page import Screen
from sftcli.view.row import RowView, Source, TokenView, row_from_batch, row_from_columns, token_texts
from sftcli.view.template import TemplateRow, list_templates, show_template, template_table
from sftcli.view.text import show_text
from sftcli.view.views import VIEWS

GOLDEN = sorted((Path(__file__).parent / "golden").glob("view-*.txt"))
SGR = re.compile(r"\x1b\[[0-9;]*m")
FOUND = Wanted(("of ",), (re.compile(r"(?i)paris|\?<\|im_end\|>|你好|!"),))


@cache
def demo() -> Tokenizer:
    return load_tokenizer("demo")


def rendered(
    record: dict[str, object], policy: MaskPolicy | None = None, template: str | None = None
) -> Rendered:
    """A record with the template that its keys call for, or another."""
    tokenizer = demo()
    name = template or ("chatml" if "messages" in record else "alpaca")
    layout = load_template(name).resolve(tokenizer.specials, tokenizer.bos)
    if isinstance(layout, RoleTemplate):
        messages = msgspec.convert(record["messages"], list[Message])
        return render_chat(Conversation(messages=messages), layout, policy or MaskPolicy(), None)
    return render_prompt(Conversation(fields=record), layout, policy or MaskPolicy(), None)


def encoded(rows: list[Rendered]) -> TokenBatch:
    return Encoder(demo(), ReferenceEngine(demo())).encode(rows, range(1, len(rows) + 1))


def raw_view(row: Rendered, file: str = "data.jsonl") -> RowView:
    return row_from_batch(demo(), encoded([row]), 0, row, Source(file, 4), row=3)


def prepared_view(row: Rendered) -> RowView:
    batch = encoded([row])
    return row_from_columns(demo(), batch.ids, batch.labels(), 3)


def padded(view: RowView, count: int = 30) -> RowView:
    end = view.tokens[-1]
    padding = TokenView(
        0, demo().control_tokens["<|im_end|>"].id, "<|im_end|>", -100, False, True, padding=True
    )
    fill = (replace(padding, i=end.i + 1 + more) for more in range(count))
    return replace(view, tokens=(*view.tokens, *fill))


def padded_left(view: RowView) -> RowView:
    size = len(view.tokens)
    tokens = padded(view).tokens
    return replace(
        view, tokens=tuple(replace(t, i=i) for i, t in enumerate((*tokens[size:], *tokens[:size])))
    )


def packed(views: list[RowView]) -> RowView:
    tokens = (token for view in views for token in view.tokens)
    return RowView(
        3,
        None,
        tuple(replace(token, i=i) for i, token in enumerate(tokens)),
        documents=tuple(len(view.tokens) for view in views),
    )


def with_fields(view: RowView) -> RowView:
    """What goes along: with a packed row its length, and with each of its documents where it is from."""
    count = len(view.documents)
    if not count:
        return replace(view, fields=(("length", len(view.tokens)), ("topic", "a\tb"), ("hard", True)))
    topics = tuple(f"topic-{number}" for number in range(count))
    sources = tuple(Source("talks.jsonl", 7 * number + 1) for number in range(count))
    return replace(view, fields=(("length", len(view.tokens)), ("topic", topics)), sources=sources)


def with_weights(view: RowView) -> RowView:
    """The weight of a trained token is 0.1 where a user speaks, else 1."""
    weight = {"user": 0.1}
    return replace(
        view,
        tokens=tuple(
            replace(t, weight=weight.get(t.role or "", 1.0) if t.trained else 0.0) for t in view.tokens
        ),
    )


def with_losses(view: RowView) -> RowView:
    """One loss of each step of the scale, over and over; there is none for what nothing predicts."""
    known = (0.05, 0.5, 1.25, 2.5, 4.0, 12.75)
    tokens = (
        token if token.i == 0 or token.padding else replace(token, loss=known[token.i % len(known)])
        for token in view.tokens
    )
    return replace(view, tokens=tuple(tokens))


def other(record: dict[str, object], what: str) -> RowView:
    """The record's row under another template or mask."""
    if what == "last":
        return raw_view(rendered(record, MaskPolicy(train_on="last")))
    return raw_view(rendered(record, template=what))


def show(records: list[dict[str, object]], title: str) -> str:
    """What a section of a golden file shows; its title is the view, the width and any options."""
    name, columns, *options = re.split(r"[, ]+", title.replace("columns", ""))
    make = prepared_view if "prepared" in options else raw_view
    policy = MaskPolicy(train_on="all") if "weighted" in options else None
    views = [make(rendered(record, policy)) for record in records]
    view = packed(views) if len(views) > 1 else views[0]
    if "noted" in options:
        view = replace(view, id="talk-17", dropped="too_long", marks=("straddle", "control-text"))
    if "fields" in options:
        view = with_fields(view)
    if "padded" in options:
        view = padded_left(view) if "left" in options else padded(view)
    if "weighted" in options:
        view = with_weights(view)
    if "losses" in options:
        view = with_losses(view)
    if "found" in options:
        view = with_found(view, FOUND)
    screen = Screen("colour" in options, int(columns), "ascii" in options, "deep" in options)
    if name != "diff":
        return VIEWS[name](view, screen)
    against = options[-1]
    return show_diff(view, other(records[0], against), ("this", against), screen)


def golden(case: Path) -> tuple[str, str]:
    """What a golden file says, and what it should say."""
    said = case.read_text(encoding="utf-8")
    head, *sections = re.split(r"^=== (.*)\n", said, flags=re.MULTILINE)
    records = [msgspec.json.decode(line) for line in head.splitlines()]
    shown = head
    for title in sections[::2]:
        shown += f"=== {title}\n" + show(records, title).replace("\x1b", r"\e") + "\n"
    return said, shown


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.stem)
def test_a_row_is_shown_as_in_its_golden_file(case: Path) -> None:
    said, shown = golden(case)
    assert shown == said


def test_there_are_golden_cases() -> None:
    assert len(GOLDEN) >= 5


def test_json_is_exact() -> None:
    row = rendered(
        {"messages": [{"role": "user", "content": "Hi 😀"}, {"role": "assistant", "content": "Yes."}]}
    )
    expected = [
        (4094, "<|im_start|>", False, "template", 0, "user"),
        (700, "user", False, "template", 0, "user"),
        (198, "\n", False, "template", 0, "user"),
        (39, "H", False, "content", 0, "user"),
        (72, "i", False, "content", 0, "user"),
        (1426, " 😀", False, "content", 0, "user"),
        (3725, "", False, "content", 0, "user"),
        (4095, "<|im_end|>", False, "template", 0, "user"),
        (198, "\n", False, "template", 0, "user"),
        (4094, "<|im_start|>", False, "template", 1, "assistant"),
        (692, "assistant", False, "template", 1, "assistant"),
        (198, "\n", False, "template", 1, "assistant"),
        (2717, "Yes", True, "content", 1, "assistant"),
        (13, ".", True, "content", 1, "assistant"),
        (4095, "<|im_end|>", True, "template", 1, "assistant"),
        (198, "\n", False, "template", 1, "assistant"),
    ]
    names = ("id", "text", "trained", "origin", "turn", "role")
    tokens = [
        {"i": i, "label": known[0] if known[2] else -100, **dict(zip(names, known, strict=True))}
        for i, known in enumerate(expected)
    ]
    counts = {"tokens": len(expected), "trained": 3}
    source = {"file": "data.jsonl", "line": 4}
    known = {"row": 3, "id": None, "dropped": None, "marks": [], "counts": counts}
    assert row_json(raw_view(row)) == {**known, "source": source, "tokens": tokens}

    unknown = {"origin": None, "turn": None, "role": None}
    tokens = [{**token, **unknown} for token in tokens]
    assert row_json(prepared_view(row)) == {**known, "source": None, "tokens": tokens}


def test_json_keys_keep_their_order() -> None:
    view = row_json(raw_view(rendered({"instruction": "a", "output": "b"})))
    assert list(view) == ["row", "id", "source", "dropped", "marks", "tokens", "counts"]
    assert list(view["tokens"][0]) == ["i", "id", "text", "label", "trained", "origin", "turn", "role"]


def test_template_text_outside_of_all_messages_has_no_turn() -> None:
    chatml = load_template("chatml")
    assert isinstance(chatml, RoleTemplate)
    chatml = msgspec.structs.replace(chatml, begin="<|endoftext|>")
    messages = [Message("user", "a"), Message("assistant", "b")]
    row = render_chat(Conversation(messages=messages), chatml, MaskPolicy(), "Be brief.")
    view = raw_view(row)
    known = list(dict.fromkeys((token.turn, token.role) for token in view.tokens))
    assert known == [(None, None), (None, "system"), (0, "user"), (1, "assistant")]
    assert view.counts.turns == 2


def test_a_token_goes_to_the_turn_of_its_word() -> None:
    vicuna = load_template("vicuna").resolve(demo().specials, demo().bos)
    assert isinstance(vicuna, RoleTemplate)
    messages = [Message("user", "Hi"), Message("assistant", "Yes."), Message("user", "  ")]
    row = render_chat(Conversation(messages=messages), vicuna, MaskPolicy(), "")
    assert show_text(raw_view(row), Screen(False, 80)).splitlines()[2:-2] == [
        "0 user       │ USER: Hi",
        "1 assistant  │ ␣ASSISTANT:",
        "            T┃ ␣Yes.⟦<|im_end|>⟧",
        "2 user       │ USER:␣␣␣␣",
    ]


def test_a_batch_shows_each_of_its_rows() -> None:
    rows = [rendered({"instruction": "a", "output": text}) for text in ("one 😀", "two", "三")]
    batch = encoded(rows)
    for index, row in enumerate(rows):
        view = row_from_batch(demo(), batch, index, row, None)
        assert view.row == index
        assert "".join(token.text for token in view.tokens) == row.text
        assert [token.i for token in view.tokens] == list(range(batch.lengths[index]))


def test_a_real_vocabulary_gives_the_text_back(llama3: Tokenizer) -> None:
    template = load_template("llama3").resolve(llama3.specials, llama3.bos)
    assert isinstance(template, RoleTemplate)
    messages = [Message("user", "Hi 😀 <|eot_id|> 龘"), Message("assistant", "🏴󠁧󠁢󠁥󠁮󠁧󠁿 𝒳")]
    row = render_chat(Conversation(messages=messages), template, MaskPolicy(), None)
    batch = Encoder(llama3, ReferenceEngine(llama3)).encode([row], [1])
    for view in (
        row_from_batch(llama3, batch, 0, row, None),
        row_from_columns(llama3, batch.ids, batch.labels(), 0),
    ):
        assert "".join(token.text for token in view.tokens) == row.text
        assert max(token.group for token in view.tokens) > 1
        assert [token.text for token in view.tokens if token.control] == [
            "<|begin_of_text|>",
            *["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"] * 2,
        ]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([b"a", b"", b"b"], [("a", 1), ("", 1), ("b", 1)]),
        ([b" \xf0\x9f", b"\x98\x80"], [(" 😀", 2), ("", 0)]),
        ([b"\xf0", b"\x9f", b"\x98", b"\x80", b"!"], [("😀", 4), ("", 0), ("", 0), ("", 0), ("!", 1)]),
        ([b"\xe4\xbd", b"\xa0\xe5\xa5", b"\xbd"], [("你好", 3), ("", 0), ("", 0)]),
        ([b"\xff"], [(r"\xff", 1)]),
        ([b"\xf0\x9f", b"a"], [(r"\xf0\x9f", 1), ("a", 1)]),
        ([b"\x98\x80", b"\xe4\xbd", b"\xa0"], [(r"\x98\x80", 1), ("你", 2), ("", 0)]),
        ([b"a", b"\xf0\x9f"], [("a", 1), (r"\xf0\x9f", 1)]),
        ([b"\xed\xa0\x80"], [(r"\xed\xa0\x80", 1)]),
        ([b"\xef\xbf\xbd"], [("\ufffd", 1)]),
    ],
)
def test_a_character_is_shown_once_over_its_tokens(
    tokens: list[bytes], expected: list[tuple[str, int]]
) -> None:
    assert token_texts(tokens) == expected


def test_a_group_with_a_trained_token_is_shown_as_trained() -> None:
    view = row_from_columns(demo(), [1426, 3725], [-100, 3725], 0)
    assert show_text(view, Screen(False, 80)).splitlines()[2] == "T┃ ␣😀"


def test_an_id_that_the_tokenizer_lacks_is_an_error() -> None:
    for id_ in (-1, demo().size, 2**40):
        with pytest.raises(TokenizerError, match=f"id {id_} is not in tokenizer 'demo'"):
            row_from_columns(demo(), np.array([1, id_]), np.array([-100, -100]), 0)


def test_an_empty_row_has_counts() -> None:
    view = row_from_columns(demo(), [], [], 12_345)
    assert show_text(view, Screen(False, 80)) == "row 12,345\n\n\n0 tokens · 0 trained (0.0%, marked T)"


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("é\u200d\x1b[2J", "é\u200d" + r"\x1b[2J"),
        ("\u202eevil\u202c", r"\u202eevil\u202c"),
        ("\u2066a\u2069", r"\u2066a\u2069"),
        ("\0", r"\x00"),
        ("\r", r"\r"),
        ("\x7f\x9b\xad", r"\x7f\u009b\u00ad"),
        ("\u200b\ufeff\u2028", r"\u200b\ufeff\u2028"),
        ("\U000e0041", r"\U000e0041"),
        ("a\u200db", r"a\u200db"),
        ("##[error]x ##vso[a] ## [b]", r"#\x23[error]x #\x23vso[a] ## [b]"),
        ("a⟦b⟧↵␣⇥", r"a\u27e6b\u27e7\u21b5\u2423\u21e5"),
        ("</script>", "</script>"),
        ("::error::x", "::error::x"),
        ("e\u0301 👩\u200d👩 ❤\ufe0f می\u200cخواهم", "e\u0301 👩\u200d👩 ❤\ufe0f می\u200cخواهم"),
    ],
)
def test_what_a_terminal_would_act_on_is_written_out(data: str, shown: str) -> None:
    row = rendered(
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": f"<{data}>"}]}
    )
    lines = show_text(raw_view(row), Screen(False, 80)).splitlines()
    assert lines[4:6] == ["1 assistant  │ ⟦<|im_start|>⟧assistant↵", f"            T┃ <{shown}>⟦<|im_end|>⟧"]
    assert (
        SGR.sub("", show_text(raw_view(row), Screen(True, 80))).splitlines()[5]
        == f"            ┃ <{shown}><|im_end|>↵"
    )


def test_an_accent_does_not_land_on_the_page() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "\u0301a\n\u0301b"}]
    for color, mark in ((False, "T┃"), (True, "┃")):
        lines = SGR.sub(
            "", show_text(raw_view(rendered({"messages": messages})), Screen(color, 80))
        ).splitlines()
        assert lines[5].endswith(mark + r" \u0301a↵")
        assert mark + r" \u0301b" in lines[6]


def test_a_file_name_is_made_safe() -> None:
    row = rendered({"instruction": "a", "output": "b"})
    assert show_text(raw_view(row, "::error::\x1b\n.jsonl"), Screen(False, 80)).splitlines()[0] == (
        r"\x3a:error::\x1b\n.jsonl:4 · row 3"
    )


texts = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from("\n\t \x1b\u202e#[😀👩\u200d\ufe0f\u0301你⟦╎שم\u1112\u1161\U000e0101"),
    )
)
SHOWN_WIDTHS = st.sampled_from([40, 57, 80, 120])


@given(texts, texts, SHOWN_WIDTHS, st.booleans(), st.booleans())
def test_any_text_is_shown_safe_and_in_its_width(
    user: str, answer: str, width: int, color: bool, losses: bool
) -> None:
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    row = rendered({"messages": messages})
    view = with_losses(raw_view(row)) if losses else raw_view(row)
    assert "".join(token.text for token in view.tokens) == row.text
    against = raw_view(rendered({"messages": [*messages, *messages]}, MaskPolicy(train_on="last")))
    for ascii_only in (False, True):
        screen = Screen(color, width, ascii_only)
        shown = {name: show(view, screen) for name, show in VIEWS.items()}
        shown["diff"] = show_diff(view, against, ("one", "other"), screen)
        for name, text in shown.items():
            plain = SGR.sub("", text)
            assert not ascii_only or plain.isascii()
            assert not set(plain) & set("\x1b\r\0\x9b\u202e\u2028")
            lines = plain.split("\n")
            assert len(lines) == len(plain.splitlines())
            # A joined emoji is one place, whatever its width, and the scale of losses is not folded.
            told = [line for line in lines if "\u200d" not in line and "loss" not in line]
            if width > 40 or not (ascii_only or losses):
                assert not [line for line in told if width_of(line) > width], name
        if not ascii_only:
            assert SGR.sub("", shown["text"]).count("\ufffd") == row.text.count("\ufffd")


@given(texts, texts)
def test_the_runs_are_the_row(user: str, answer: str) -> None:
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    view = raw_view(rendered({"messages": messages}))
    lines = VIEWS["runs"](view, Screen(False, 100_000)).splitlines()[3:-2]
    found = [(line.split()[0], line.split()[1], line.split()[2]) for line in lines]
    at, expected = 0, []
    for trained, same in groupby(token.trained for token in view.tokens):
        size = len(list(same))
        last = at + size - 1
        place = str(at) if size == 1 else f"{at}-{last}"
        expected.append((place, f"{size:,}", "trained" if trained else "masked"))
        at = last + 1
    assert found == expected


@given(texts, texts)
def test_there_is_a_target_for_each_trained_token(user: str, answer: str) -> None:
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    view = raw_view(rendered({"messages": messages}))
    for packing in (view, packed([view, view])):
        lines = VIEWS["targets"](packing, Screen(False, 80)).splitlines()[5:-2]
        assert [tuple(map(int, line.split()[:2])) for line in lines] == [
            (token.i - 1, token.id) for token in packing.tokens if token.trained
        ]


@given(texts, texts, texts)
def test_a_diff_covers_both_rows(user: str, answer: str, changed: str) -> None:
    def made(text: str) -> RowView:
        messages = [{"role": "user", "content": user}, {"role": "assistant", "content": text}]
        return raw_view(rendered({"messages": messages}))

    one, other = made(answer), made(changed)
    sides = Side(one, Screen(False, 80)), Side(other, Screen(False, 80))
    blocks = list(compare(*sides))
    for side, spans in zip(
        sides, ([block.left for block in blocks], [block.right for block in blocks]), strict=True
    ):
        assert [start for start, _ in spans] == [0, *(stop for _, stop in spans)][:-1]
        assert spans[-1][1] == len(side.line.text)
    for sign, left, right in blocks:
        texts = sides[0].line.text[slice(*left)], sides[1].line.text[slice(*right)]
        assert sign == "text" or texts[0] == texts[1]
        if sign in ("", "split"):
            assert sides[0].state(left[0]) == sides[1].state(right[0])
    shown = show_diff(one, other, ("one", "other"), Screen(False, 80))
    assert ("\nsame: " in shown) == (answer == changed)


def test_context_ends_at_a_cut_inside_of_a_character() -> None:
    """An accent that is a token of its own stands in its letter's place once it is there."""
    ids = [
        token
        for text in ("e", "\u0301")
        for token in demo().reference.encode(text, add_special_tokens=False).ids
    ]
    view = row_from_columns(demo(), ids, [-100, *ids[1:]], 0)
    first, *more = (
        line.split("  ", 2)[2] for line in VIEWS["targets"](view, Screen(False, 80)).splitlines()[5:-2]
    )
    assert first == r"e → \u0301⟦1/2⟧"
    assert more == ["e\u0301⟦1/2⟧ → ⟦2/2⟧"]


def test_a_long_run_says_how_much_is_left_out() -> None:
    view = row_from_columns(
        demo(), *[demo().reference.encode("ab " * 100, add_special_tokens=False).ids] * 2, 0
    )
    line = VIEWS["runs"](view, Screen(False, 80)).splitlines()[3]
    head, said, tail = re.fullmatch(r'.*trained  "(.*)⟦\+(\d+) chars⟧(.*)"', line).groups()
    assert head + tail == ("ab " * 100)[: len(head)] + ("ab " * 100)[300 - len(tail) :]
    assert len(head) + int(said) + len(tail) == 300
    assert width_of(line) == 80


def test_long_steps_leave_out_the_middle_and_say_so() -> None:
    ids = [10] * 40
    lines = VIEWS["steps"](row_from_columns(demo(), ids, ids, 0), Screen(False, 80)).splitlines()
    assert [line.split()[0] for line in lines[3:19]] == [str(step) for step in range(1, 17)]
    assert lines[19] == "steps 17 to 31 are left out; the view targets has all"
    assert [line.split()[0] for line in lines[20:28]] == [str(step) for step in range(32, 40)]
    assert lines[28:] == [
        "",
        "! label: token 0 has a label, but no position predicts it: it is in no loss",
        "",
        "39 steps with 780 context tokens · 40 tokens · 40 trained (100.0%)",
    ]


def test_targets_of_another_document_are_told_of() -> None:
    view = replace(row_from_columns(demo(), [10] * 4, [-100, 10, 10, 10], 0), documents=(2, 2))
    assert VIEWS["targets"](view, Screen(False, 80)).splitlines()[5:] == [
        "0  10  + → +",
        "1  10   → +",
        "2  10  + → +",
        "",
        "! label: nothing of its own document stands before token 2, and it has a label",
        "",
        "3 targets · 4 tokens · 3 trained (75.0%) · 2 documents",
    ]


def test_hidden_data_in_selectors_is_written_out() -> None:
    shown = one_line("a\ufe0f\ufe01 b\U000e0100\U000e0101\U000e0102 c" + "\u0301" * 20)
    assert shown == ("a\ufe0f\\ufe01 b\U000e0100\\U000e0101\\U000e0102 c" + "\u0301" * 15 + "\\u0301" * 5)
    assert one_line("\u3164\u115f\u1161") == r"\u3164\u115f\u1161"


def test_plain_text_is_one_line_as_it_stands_and_commands_in_it_are_not() -> None:
    assert one_line("data/a #1 [x]: y.jsonl:3:5") == "data/a #1 [x]: y.jsonl:3:5"
    assert one_line("a ##[error] ##b") == r"a #\x23[error] ##b"
    assert one_line("::error::a") == r"\x3a:error::a"
    assert one_line("a\x7fb\tc\nd") == r"a\x7fb\tc\nd"


@pytest.mark.parametrize("name", [*VIEWS, "diff"])
def test_a_row_without_tokens_has_every_view(name: str) -> None:
    empty = RowView(5, None, ())
    if name == "diff":
        shown = show_diff(empty, empty, ("a", "b"), Screen(False, 80))
        assert shown.endswith("\nsame: every id, label and padding token is equal in both")
    else:
        shown = VIEWS[name](empty, Screen(False, 80))
        assert "0 tokens · 0 trained (0.0%" in shown
    assert shown.startswith("row 5\n")


def test_a_long_row_has_every_view() -> None:
    """20,000 tokens: it would not end if the time grew with the square."""
    ids = demo().reference.encode("Some words, and a 😀.\n" * 2500, add_special_tokens=False).ids[:20_000]
    view = row_from_columns(demo(), ids, [-100] * 2000 + ids[2000:], 0)
    other = row_from_columns(demo(), ids[50:], [-100] * 5000 + ids[5050:], 0)
    for show in VIEWS.values():
        assert "20,000 tokens · 18,000 trained" in SGR.sub("", show(view, Screen(True, 120)))
    assert "differ" in show_diff(view, other, ("a", "b"), Screen(True, 120))
    assert len(ids) == 20_000


def test_a_row_of_twenty_thousand_turns() -> None:
    """It would take a quarter of an hour if each token cost a look at all pieces."""
    turns = [{"role": role, "content": "t"} for _ in range(10_000) for role in ("user", "assistant")]
    view = raw_view(rendered({"messages": turns}))
    assert view.counts.turns == 20_000
    assert [token.turn for token in view.tokens if token.origin == "content"] == list(range(20_000))


@given(texts)
def test_trained_lines_hold_what_is_trained(answer: str) -> None:
    row = rendered({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": answer}]})
    view = raw_view(row)
    lines = show_text(view, Screen(False, 10_000)).splitlines()[2:-2]
    assert [line for line in lines if line[:15].endswith("T┃ ")] == lines[3:-1]
    assert len(lines[3:-1]) == "".join(token.text for token in view.tokens if token.trained).count("\n") + 1


ROLE_TEMPLATE = """\
name: demo-chat
description: A layout for this test, with a description that is longer than the eighty columns of the screen
begin: "{bos}"
roles:
  system: {before: "<|system|>", end: "\\n"}
  user: {before: "<|user|> ", end: "\\n"}
  assistant: {before: "<|assistant|>", lead: " ", end: "{eos}", after: "\\n"}
control_tokens: ["<|system|>", "<|user|>", "<|assistant|>"]
"""
ROLE_SHOWN = """\
demo-chat · role template
A layout for this test, with a description that is longer than the eighty
columns of the screen

roles            system, user, assistant
terminator       {eos}
control tokens   <|system|>, <|user|>, <|assistant|>
tokenizer gives  {bos}, {eos}

             │ ⟦{bos}⟧
0 system     │ ⟦<|system|>⟧You are a helpful assistant.↵
1 user       │ ⟦<|user|>⟧ What is 2 + 2?↵
2 assistant  │ ⟦<|assistant|>⟧
            T┃ ␣2 + 2 = 4.⟦{eos}⟧
             │ ↵
3 user       │ ⟦<|user|>⟧ And 3 + 3?↵
4 assistant  │ ⟦<|assistant|>⟧
            T┃ ␣3 + 3 = 6.⟦{eos}⟧
             │ ↵

T = trained by default"""
PROMPT_TEMPLATE = """\
name: ask
prompt:
  - when: [hint]
    text: "Q: {question}\\nHint: {hint}\\nA:"
  - text: "Q: {question}\\nA:"
completion: " {answer}"
"""
PROMPT_SHOWN = """\
ask - prompt template

fields           question, answer
optional fields  hint
terminator       {eos}
control tokens   none of its own
tokenizer gives  {eos}

with hint:
0 user       | Q: {question}\\n
             | Hint: {hint}\\n
             | A:
1 assistant T| \\x20{answer}[[{eos}]]

otherwise:
0 user       | Q: {question}\\n
             | A:
1 assistant T| \\x20{answer}[[{eos}]]

T = trained by default"""


def test_a_role_template_is_shown_with_a_conversation(tmp_path: Path) -> None:
    path = tmp_path / "demo-chat.yaml"
    path.write_text(ROLE_TEMPLATE)
    template = template_from_file(path)
    assert show_template(template, False, 80) == ROLE_SHOWN
    lines = show_template(template, True, 80).splitlines()
    assert lines[12] == (
        "2 assistant \x1b[32m┃\x1b[0m \x1b[35m<|assistant|>\x1b[0m\x1b[32m␣\x1b[0m"
        "\x1b[1;32m2 + 2 = 4.\x1b[0m\x1b[1;7;32m{eos}\x1b[0m\x1b[2m↵\x1b[0m"
    )
    resolved = template.resolve({"eos": "</s>"}, "<s>")
    shown = show_template(resolved, False, 80, control_tokens=["<s>", "</s>"])
    assert "\n             │ ⟦<s>⟧\n" in shown
    assert "\n            T┃ ␣2 + 2 = 4.⟦</s>⟧\n" in shown
    assert "tokenizer gives" not in shown


def test_a_prompt_template_is_shown_in_each_of_its_wordings(tmp_path: Path) -> None:
    path = tmp_path / "ask.yaml"
    path.write_text(PROMPT_TEMPLATE)
    assert show_template(template_from_file(path), False, 80, ascii_only=True) == PROMPT_SHOWN


def test_every_builtin_template_can_be_listed_and_shown() -> None:
    rows = list_templates()
    assert {"alpaca", "chatml", "llama3"} <= {row.name for row in rows}
    for row in rows:
        for color in (False, True):
            shown = show_template(load_template(row.name), color, 80)
            assert shown.startswith(f"{row.name} · {row.kind} template\n")
            assert all(width_of(SGR.sub("", line)) <= 80 for line in shown.split("\n"))


def test_the_table_of_templates_is_aligned() -> None:
    rows = [
        TemplateRow("alpaca", "prompt", "Short"),
        TemplateRow("qa", "role", "Some words that go on below"),
    ]
    assert template_table(rows, 35) == (
        "name    kind    description\n"
        "alpaca  prompt  Short\n"
        "qa      role    Some words that go\n"
        "                on below"
    )


if __name__ == "__main__":
    for path in GOLDEN:
        path.write_text(golden(path)[1], encoding="utf-8")
