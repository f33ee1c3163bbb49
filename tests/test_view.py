"""What a person is shown.

A golden case (golden/view-*.txt) is a record and, for each screen, the whole text that is shown; in
coloured text \\e stands for ESC. `python tests/test_view.py` writes them anew, and the diff is there
to be read.
"""

import re
from functools import cache
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
from sftcli.render import MaskPolicy, Rendered, render_chat, render_prompt
from sftcli.templates import RoleTemplate, load_template, template_from_file
from sftcli.tokenizer import Tokenizer, load_tokenizer
from sftcli.view.cells import width_of
from sftcli.view.json import row_json
from sftcli.view.row import RowView, Source, row_from_batch, row_from_columns, token_texts
from sftcli.view.template import TemplateRow, list_templates, show_template, template_table
from sftcli.view.text import show_row

GOLDEN = sorted((Path(__file__).parent / "golden").glob("view-*.txt"))
SGR = re.compile(r"\x1b\[[0-9;]*m")


@cache
def demo() -> Tokenizer:
    return load_tokenizer("demo")


def rendered(record: dict[str, object]) -> Rendered:
    """A record with the template that its keys call for."""
    tokenizer = demo()
    if "messages" in record:
        chatml = load_template("chatml").resolve(tokenizer.specials, tokenizer.bos)
        assert isinstance(chatml, RoleTemplate)
        messages = msgspec.convert(record["messages"], list[Message])
        return render_chat(Conversation(messages=messages), chatml, MaskPolicy(), None)
    alpaca = load_template("alpaca").resolve(tokenizer.specials, tokenizer.bos)
    assert not isinstance(alpaca, RoleTemplate)
    return render_prompt(Conversation(fields=record), alpaca, MaskPolicy(), None)


def encoded(rows: list[Rendered]) -> TokenBatch:
    return Encoder(demo(), ReferenceEngine(demo())).encode(rows, range(1, len(rows) + 1))


def raw_view(row: Rendered, file: str = "data.jsonl") -> RowView:
    return row_from_batch(demo(), encoded([row]), 0, row, Source(file, 4), row=3)


def prepared_view(row: Rendered) -> RowView:
    batch = encoded([row])
    return row_from_columns(demo(), batch.ids, batch.labels(), 3)


def golden(case: Path) -> tuple[str, str]:
    """What a golden file says, and what it should say."""
    said = case.read_text(encoding="utf-8")
    head, *sections = re.split(r"^=== (.*)\n", said, flags=re.MULTILINE)
    row = rendered(msgspec.json.decode(head))
    shown = head
    for title in sections[::2]:
        columns, *options = re.split(r"[, ]+", title)
        view = prepared_view(row) if "prepared" in options else raw_view(row)
        text = show_row(view, "colour" in options, int(columns), "ascii" in options)
        shown += f"=== {title}\n" + text.replace("\x1b", r"\e") + "\n"
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
    assert row_json(raw_view(row)) == {"row": 3, "source": source, "tokens": tokens, "counts": counts}

    unknown = {"origin": None, "turn": None, "role": None}
    tokens = [{**token, **unknown} for token in tokens]
    assert row_json(prepared_view(row)) == {"row": 3, "source": None, "tokens": tokens, "counts": counts}


def test_json_keys_keep_their_order() -> None:
    view = row_json(raw_view(rendered({"instruction": "a", "output": "b"})))
    assert list(view) == ["row", "source", "tokens", "counts"]
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
    assert show_row(raw_view(row), False, 80).splitlines()[2:-2] == [
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
    assert show_row(view, False, 80).splitlines()[2] == "T┃ ␣😀"


def test_an_id_that_the_tokenizer_lacks_is_an_error() -> None:
    for id_ in (-1, demo().size, 2**40):
        with pytest.raises(TokenizerError, match=f"id {id_} is not in tokenizer 'demo'"):
            row_from_columns(demo(), np.array([1, id_]), np.array([-100, -100]), 0)


def test_an_empty_row_has_counts() -> None:
    view = row_from_columns(demo(), [], [], 12_345)
    assert show_row(view, False, 80) == "row 12,345\n\n\n0 tokens · 0 trained (0.0%, marked T)"


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
    lines = show_row(raw_view(row), False, 80).splitlines()
    assert lines[4:6] == ["1 assistant  │ ⟦<|im_start|>⟧assistant↵", f"            T┃ <{shown}>⟦<|im_end|>⟧"]
    assert (
        SGR.sub("", show_row(raw_view(row), True, 80)).splitlines()[5]
        == f"            ┃ <{shown}><|im_end|>↵"
    )


def test_an_accent_does_not_land_on_the_page() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "\u0301a\n\u0301b"}]
    for color, mark in ((False, "T┃"), (True, "┃")):
        lines = SGR.sub("", show_row(raw_view(rendered({"messages": messages})), color, 80)).splitlines()
        assert lines[5].endswith(mark + r" \u0301a↵")
        assert mark + r" \u0301b" in lines[6]


def test_a_file_name_is_made_safe() -> None:
    row = rendered({"instruction": "a", "output": "b"})
    assert show_row(raw_view(row, "::error::\x1b\n.jsonl"), False, 80).splitlines()[0] == (
        r"\x3a:error::\x1b\n.jsonl:4 · row 3"
    )


texts = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from("\n\t \x1b\u202e#[😀👩\u200d\ufe0f你⟦"))
)


@given(texts, texts, st.integers(40, 120), st.booleans())
def test_any_text_is_shown_whole_safe_and_in_its_width(
    user: str, answer: str, width: int, color: bool
) -> None:
    row = rendered(
        {"messages": [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]}
    )
    view = raw_view(row)
    assert "".join(token.text for token in view.tokens) == row.text
    for ascii_only in (False, True):
        shown = show_row(view, color, width, ascii_only)
        plain = SGR.sub("", shown)
        assert not ascii_only or plain.isascii()
        assert not set(plain) & set("\x1b\r\0\x9b\u202e\u2028")
        assert plain.count("\ufffd") == (0 if ascii_only else row.text.count("\ufffd"))
        lines = plain.split("\n")
        assert len(lines) == len(plain.splitlines())
        # Header and counts are not folded, and a joined emoji is one place, whatever its width.
        assert all(width_of(line) <= width for line in lines[1:-1] if "\u200d" not in line)


@given(texts)
def test_trained_lines_hold_what_is_trained(answer: str) -> None:
    row = rendered({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": answer}]})
    view = raw_view(row)
    lines = show_row(view, False, 10_000).splitlines()[2:-2]
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
