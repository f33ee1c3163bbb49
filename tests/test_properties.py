"""Random rows, against the slow and obvious version: one string, its offsets, one token at a time."""

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
import tokenizers
from hypothesis import assume, given
from hypothesis import strategies as st
from small_tokenizers import GLUED, WIDE, WORDS

from sftcli.batch import TokenBatch
from sftcli.conversation import Conversation, Message
from sftcli.encode import Encoder
from sftcli.engine import FastEngine, ReferenceEngine, fast_engine_refusal
from sftcli.errors import RecordError
from sftcli.mask import MaskPolicy
from sftcli.render import render_chat, render_prompt
from sftcli.rendered import Piece, Rendered
from sftcli.templates import RoleTemplate, builtin_names, load_template
from sftcli.tokenizer import Tokenizer

TEMPLATES = {name: load_template(name) for name in builtin_names()}
CONTROL = tuple(dict.fromkeys(token for template in TEMPLATES.values() for token in template.control_tokens))
LOOK_ALIKES = (
    *CONTROL,
    *("<|im_start|>assistant\n", "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"),
    *("</s>", "<s>", "<|endoftext|>", "<|im_", "end|>", "<", "|>", "[INST", "### Response:\n"),
    *("ASSISTANT:", "{prompt}", "{eos}", "<think>", "</think>", "<unk>", "<0x0A>", "▁", "Ġ"),
)
WHITE = (
    *(" ", "  ", "\n", "\n\n", "\r\n", "\t", "\x0b", "\x1c"),
    *("\x85", "\u00a0", "\u2003", "\u2028", "\u3000"),
)
MARKS = (
    *("\u0301", "\u0327", "\u0315", "\u200d", "\ufe0f", "\u0e31"),
    *("\u1ab0", "\u11a8", "\u202e", "\u2066", "\ufeff"),
)
SPLITS = (
    *("😀", "👩\u200d🚀", "🏳\ufe0f\u200d🌈", "𝔘", "한", "\u1112\u1161\u11ab"),
    *("日", "ſ", "Å", "ﬁ", "\x00", "\ud7ff"),
)

# Half a surrogate pair is no text; the others are this file's and the engine's own marks.
characters = st.characters(
    exclude_categories=["Cs"], exclude_characters="\U000f5a01\U000f5a02\U000f5f7c\U000f5f7d"
)
fragments = st.one_of(
    st.sampled_from((*WORDS, *GLUED, *WIDE)),
    st.sampled_from((*WHITE, *MARKS, *SPLITS)),
    st.sampled_from(LOOK_ALIKES),
    st.text(characters, max_size=4),
)
texts = st.lists(fragments, max_size=5).map("".join)
policies = st.builds(
    MaskPolicy,
    st.sampled_from(("assistant", "last", "all")),
    st.sampled_from(("turn", "last", "none", "all")),
)


@st.composite
def chats(draw: st.DrawFn) -> list[Message]:
    roles = draw(st.lists(st.sampled_from(("user", "assistant")), min_size=1, max_size=4))
    if draw(st.booleans()):
        roles = ["system", "user", *roles]  # some layouts put the system text into a user turn
    flags = st.sampled_from((None, None, None, True, False))
    return [Message(role, draw(texts), draw(flags)) for role in roles]


class Row(NamedTuple):
    """A record that any template can lay out, the template's name, and whether a BOS is asked for."""

    template: str
    chat: list[Message]
    prompt: str
    given: str
    answer: str
    bos: bool


rows = st.builds(Row, st.sampled_from(sorted(TEMPLATES)), chats(), texts, texts, texts, st.booleans())
some_rows = st.lists(rows, min_size=1, max_size=4)


class Bench:
    """A tokenizer that has every template's control tokens, its engines, and the slow version."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer.with_control_tokens(CONTROL)
        self.templates = {
            (name, bos): template.resolve(tokenizer.specials, tokenizer.bos if bos else "")
            for name, template in TEMPLATES.items()
            for bos in (False, True)
        }
        self.reference = ReferenceEngine(self.tokenizer)
        self.encoders = [Encoder(self.tokenizer, self.reference)]
        if fast_engine_refusal(self.tokenizer) is None:
            self.encoders.append(Encoder(self.tokenizer, FastEngine(self.tokenizer, self.reference)))
        self.ids = {text: token.id for text, token in self.tokenizer.control_tokens.items()}
        self.control = re.compile("|".join(map(re.escape, sorted(self.ids, key=len, reverse=True))))
        self.secret = {text: f"\U000f5a01{token_id}\U000f5a02" for text, token_id in self.ids.items()}
        self.twin = _renamed(self.tokenizer, self.secret)
        self.unknown = self.twin.encode("∰", add_special_tokens=False).ids  # no vocabulary has it

    def render(self, row: Row, policy: MaskPolicy) -> Rendered:
        """The row's pieces; an answer that is its terminator's text alone is refused, and left out."""
        try:
            return self._render(row, policy)
        except RecordError as problem:
            assume(problem.code != "empty_answer")
            raise

    def _render(self, row: Row, policy: MaskPolicy) -> Rendered:
        template = self.templates[row.template, row.bos]
        if isinstance(template, RoleTemplate):
            return render_chat(Conversation(messages=row.chat), template, policy, None)
        names = dict.fromkeys(("prompt", "instruction"), row.prompt)
        names |= dict.fromkeys(("output", "completion"), row.answer)
        if "input" in template.optional:
            names["input"] = row.given
        return render_prompt(Conversation(fields=names), template, policy, None)

    def batches(self, rendered: Sequence[Rendered]) -> list[TokenBatch]:
        """The rows as every engine encodes them."""
        return [encoder.encode(rendered, range(len(rendered))) for encoder in self.encoders]

    def template_control(self, row: Rendered) -> list[str]:
        return [
            text for piece in row.pieces if not piece.content for text in self.control.findall(piece.text)
        ]

    def disguise(self, text: str) -> str:
        return self.control.sub(lambda match: self.secret[match[0]], text)

    def slow(self, row: Rendered) -> tuple[list[int], list[bool], list[int]]:
        """A row's ids, its mask, and its straddling tokens (masked, trained).

        Taken from the offsets of its whole text, in which the template's control tokens go by
        names that no content knows.
        """
        pieces = [
            (piece.text if piece.content else self.disguise(piece.text), piece.trained)
            for piece in row.pieces
        ]
        text = "".join(text for text, _ in pieces)
        flags = [trained for text, trained in pieces for _ in text]
        found = self.twin.encode(text, add_special_tokens=False)
        mask, straddles = [], [0, 0]
        for token_id, (start, stop) in zip(found.ids, found.offsets, strict=True):
            covered = list(zip(text[start:stop], flags[start:stop], strict=True))
            untrained = "".join(char for char, trained in covered if not trained)
            across = 0 < len(untrained) < len(covered)
            mask.append(not untrained or (across and untrained.isspace()))
            if (
                token_id in self.ids.values() and token_id not in self.unknown
            ):  # the white space that it takes in has no say
                mask[-1] = flags[text.index("\U000f5a01", start)]
            elif across:
                straddles[mask[-1]] += 1
        return found.ids, mask, straddles


def _renamed(tokenizer: Tokenizer, names: dict[str, str]) -> tokenizers.Tokenizer:
    """The bare library's tokenizer, whose control tokens go by other names."""
    layout = json.loads(tokenizer.saved_files()["tokenizer.json"])
    model = layout["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(text, text): token_id for text, token_id in model["vocab"].items()}
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    else:
        model["vocab"] = [(names.get(text, text), score) for text, score in model["vocab"]]
    for token in layout["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    layout["post_processor"] = None  # it trims offsets
    return tokenizers.Tokenizer.from_str(json.dumps(layout))


@pytest.fixture(scope="module")
def bench(any_tokenizer: Tokenizer) -> Bench:
    return Bench(any_tokenizer)


def parts(batch: TokenBatch, row: int) -> tuple[Any, ...]:
    """All that a batch says of one row."""
    tokens = slice(*batch.offsets[row : row + 2])
    columns = [column[tokens] for column in (batch.ids, batch.trained, batch.piece)]
    columns += [batch.straddles[row], batch.line[row]]
    return tuple(column.tolist() for column in columns)


@given(row=rows, policy=policies)
def test_ids_and_mask_are_those_of_the_whole_text(bench: Bench, row: Row, policy: MaskPolicy) -> None:
    rendered = bench.render(row, policy)
    ids, mask, straddles = bench.slow(rendered)
    for batch in bench.batches([rendered]):
        found = parts(batch, 0)
        assert found[0] == ids
        assert found[1] == mask
        assert found[3] == straddles


@given(row=rows)
def test_ids_are_one_shot_ids_where_content_holds_no_control_text(bench: Bench, row: Row) -> None:
    rendered = bench.render(row, MaskPolicy())
    rendered = Rendered.of([replace_control(bench, piece) for piece in rendered.pieces])
    assume(bench.control.findall(rendered.text) == bench.template_control(rendered))
    expected = bench.reference.one_shot(rendered.text)
    for batch in bench.batches([rendered]):
        assert batch.ids.tolist() == expected


def replace_control(bench: Bench, piece: Piece) -> Piece:
    return msgspec.structs.replace(piece, text=bench.control.sub("|", piece.text)) if piece.content else piece


@given(row=rows)
def test_content_adds_no_control_token(bench: Bench, row: Row) -> None:
    rendered = bench.render(row, MaskPolicy())
    expected = [bench.ids[text] for text in bench.template_control(rendered)]
    for batch in bench.batches([rendered]):
        control = [i for i in batch.ids.tolist() if i in bench.ids.values() and i not in bench.unknown]
        assert control == expected


@given(batch_rows=some_rows, policy=policies)
def test_every_engine_gives_a_batch_the_rows_it_gives_one_by_one(
    bench: Bench, batch_rows: list[Row], policy: MaskPolicy
) -> None:
    rendered = [bench.render(row, policy) for row in batch_rows]
    alone = [parts(bench.encoders[0].encode([row], [line]), 0) for line, row in enumerate(rendered)]
    for batch in bench.batches(rendered):
        assert [parts(batch, row) for row in range(len(batch))] == alone


@given(batch_rows=some_rows, keep=st.data())
def test_select_keeps_whole_rows_in_order(bench: Bench, batch_rows: list[Row], keep: st.DataObject) -> None:
    wanted = keep.draw(st.lists(st.booleans(), min_size=len(batch_rows), max_size=len(batch_rows)))
    batch = bench.batches([bench.render(row, MaskPolicy()) for row in batch_rows])[-1]
    selected = batch.select(np.array(wanted, np.bool_))
    expected = [parts(batch, row) for row, flag in enumerate(wanted) if flag]
    assert [parts(selected, row) for row in range(len(selected))] == expected
    assert selected.lengths.tolist() == [len(ids) for ids, *_ in expected]
    assert selected.trained_counts.tolist() == [sum(mask) for _, mask, *_ in expected]
    labels = [i if flag else -100 for ids, mask, *_ in expected for i, flag in zip(ids, mask, strict=True)]
    assert selected.labels().tolist() == labels


# `last` is left out: under it the terminator that is trained is another one for each train_on.
@given(row=rows, eos=st.sampled_from(("turn", "none", "all")))
def test_training_on_less_trains_a_subset(bench: Bench, row: Row, eos: str) -> None:
    last, assistant, everything = (
        bench.batches([bench.render(row, MaskPolicy(train_on, eos))])[-1]
        for train_on in ("last", "assistant", "all")
    )
    assert last.ids.tolist() == assistant.ids.tolist() == everything.ids.tolist()
    assert not (last.trained & ~assistant.trained).any()
    assert not (assistant.trained & ~everything.trained).any()


@given(batch_rows=some_rows)
def test_rows_that_hold_control_text_are_counted(bench: Bench, batch_rows: list[Row]) -> None:
    rendered = [bench.render(row, MaskPolicy()) for row in batch_rows]
    contents = [[piece.text for piece in row.pieces if piece.content] for row in rendered]
    expected = sum(any(control in text for text in row for control in bench.ids) for row in contents)
    assert bench.encoders[0].control_texts(rendered) == expected
