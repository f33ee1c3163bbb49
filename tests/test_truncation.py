"""Rows over --max-length: each policy in cases a person can read, and against slow and obvious versions."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate, cycle, groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Here, chat, make, manifest, spans, write
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sftcli.batch import TokenBatch
from sftcli.config import load_config
from sftcli.encode import encode_runs
from sftcli.engine import ReferenceEngine
from sftcli.errors import BadRecordsError, ConfigError
from sftcli.fit import Again, Fitted, Fitter, Limits
from sftcli.job import Job, make_job
from sftcli.rendered import Piece, Rendered
from sftcli.runs import RunBuilder
from sftcli.templates import builtin_names, load_template
from sftcli.tokenizer import Tokenizer, load_tokenizer

Small = Callable[[str], Tokenizer]
Record = dict[str, Any]

CONTROL = tuple(
    dict.fromkeys(token for name in builtin_names() for token in load_template(name).control_tokens)
)
BOS = "<|begin_of_text|>"
# A Jinja chat template whose first turn begins with a BOS.
JINJA = (
    "{% for m in messages %}{{ bos_token if loop.first else '' }}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@cache
def demo() -> Tokenizer:
    """The bundled tokenizer with the control tokens of every template, and a BOS."""
    return load_tokenizer("demo").with_control_tokens([*CONTROL, "</s>", BOS], {"bos": BOS})


@dataclass(frozen=True)
class Row:
    """One record made into a row: whole, and as it is written (None where it is not, with the reason)."""

    job: Job
    rendered: Rendered
    whole: TokenBatch
    again: Again
    fitted: Fitted

    @property
    def reason(self) -> str | None:
        return next(iter(self.fitted.dropped), None)

    @property
    def ids(self) -> list[int]:
        return self.fitted.batch.ids.tolist()

    @property
    def text(self) -> str:
        """What is written, `[masked]` and trained."""
        batch = self.fitted.batch
        return "".join(spans(self.job.tokenizer, batch.ids.tolist(), batch.labels().tolist()))


def row(record: Record, tokenizer: Tokenizer | None = None, **options: Any) -> Row:
    """A record as the pipeline makes a row of it."""
    tokenizer = tokenizer or demo()
    if "max_length" not in options:
        options = {**options, "truncation": "drop"}
    job = make_job(load_config(None, options), tokenizer, [json.dumps(record).encode()])
    engine = _engine(id(tokenizer), tokenizer)
    builder = RunBuilder(tokenizer, engine)
    rendered = job.render(job.parse(record))
    whole = encode_runs(builder.build([rendered], [7]), engine)
    again = Again(builder, engine, lambda line: {7: job.parse(record)}[line])
    return Row(job, rendered, whole, again, job.fitter.fit(whole, again))


_engines: dict[int, tuple[Tokenizer, ReferenceEngine]] = {}  # loading one is slow


def _engine(key: int, tokenizer: Tokenizer) -> ReferenceEngine:
    if key not in _engines:
        _engines[key] = tokenizer, ReferenceEngine(tokenizer)
    return _engines[key][1]


def cut(record: Record, length: int, how: str, template: str | None = "chatml", **options: Any) -> str:
    """The row as it is written, or the reason why it is not."""
    made = row(record, template=template, max_length=length, truncation=how, **options)
    assert len(made.ids) <= length
    return made.reason or made.text


def turns(*pairs: tuple[str, str]) -> Record:
    return {"messages": [{"role": role, "content": text} for role, text in pairs]}


TWO = turns(("user", "one two"), ("assistant", "three four"), ("user", "five"), ("assistant", "six seven"))


# The exact cases


def test_mask_15_a_prompt_that_fills_the_row_leaves_nothing_trained(small: Small) -> None:
    tokenizer = small("chatml")
    record = turns(("user", "Hello Hi " * 27), ("assistant", "Paris Rome"))
    made = row(record, tokenizer, template="chatml", max_length=50, truncation="right")
    assert len(made.whole.ids) > 60
    assert (made.reason, made.ids) == ("no_trained_tokens", [])


def test_mask_16_an_answer_that_is_cut_is_dropped_or_masked_and_gets_no_end() -> None:
    whole = len(row(TWO, template="chatml").ids)
    assert cut(TWO, whole, "right").endswith("assistant\n]six seven<|im_end|>[\n]")
    # The newline after a trained terminator does not count.
    assert cut(TWO, whole - 1, "right").endswith("assistant\n]six seven<|im_end|>")
    assert cut(TWO, whole - 2, "right").endswith("five<|im_end|>\n<|im_start|>assistant\nsix seven]")
    assert cut(TWO, whole - 2, "drop") == "too_long"


def test_mask_17_no_header_stays_without_the_first_token_of_its_answer() -> None:
    """The lengths at which a row of TWO is cut, from its last answer to its first token."""
    found = {cut(TWO, length, "right") for length in range(1, len(row(TWO, template="chatml").ids))}
    assert "no_trained_tokens" in found
    for text in found - {"no_trained_tokens"}:
        assert "three four<|im_end|>" in text
        assert not text.endswith(("assistant]", "assistant\n]", "user]", "user\n]", "<|im_start|>]"))


# Each policy, on each layout: golden cases


def last_tokens(text: str, template: str, **options: Any) -> int:
    """How many tokens the end of a row of TWO has, from `text` on."""
    made = row(TWO, template=template, **options)
    tokens = [made.job.tokenizer.token_bytes(i) for i in made.ids]
    return next(n for n in range(1, len(tokens)) if b"".join(tokens[-n:]).decode().startswith(text))


LLAMA3 = turns(("user", "Hi"), ("assistant", "Paris"), ("user", "day"), ("assistant", "good"))
HEAD = "<|start_header_id|>{}<|end_header_id|>\n\n"


def sweep(record: Record, how: str, template: str | None = "chatml", **options: Any) -> list[tuple[int, str]]:
    """What becomes of a row at each length below its own, and for how many lengths on end it is the same."""
    whole = len(
        row(record, template=template, **{k: v for k, v in options.items() if k != "truncation_side"}).ids
    )
    found = (cut(record, length, how, template, **options) for length in range(whole - 1, 0, -1))
    return [(len(list(same)), text) for text, same in groupby(found)]


def test_right_on_llama3(llama3_kind: Tokenizer) -> None:
    user, answer = HEAD.format("user"), HEAD.format("assistant")
    first = f"[{BOS}{user}Hi<|eot_id|>{answer}]Paris<|eot_id|>"
    found = sweep(LLAMA3, "right", "llama3", tokenizer=llama3_kind)
    assert found[-5:] == [
        (1, f"{first}[{user}day<|eot_id|>{answer}good]"),
        (5, f"{first}[{user}day<|eot_id|>]"),
        (1, f"{first}[{user}day]"),
        (5, first),
        (len(row(LLAMA3, llama3_kind, template="llama3").ids) - 13, "no_trained_tokens"),
    ]


def test_left_on_llama3(llama3_kind: Tokenizer) -> None:
    """The BOS stays; no header and no end of a turn stays without what the turn says."""
    user, answer = HEAD.format("user"), HEAD.format("assistant")
    end = f"[{user}day<|eot_id|>{answer}]good<|eot_id|>"
    assert (
        sweep(LLAMA3, "left", "llama3", tokenizer=llama3_kind)
        == [
            (4, f"[{BOS}Hi<|eot_id|>{answer}]Paris<|eot_id|>{end}"),
            (2, f"[{BOS}{answer}]Paris<|eot_id|>{end}"),
            (3, f"[{BOS}{end[1:]}"),
            (1, f"[{BOS}Paris<|eot_id|>{end[1:]}"),  # what is left of an answer whose header was cut
            (2, f"[{BOS}{end[1:]}"),
            (4, f"[{BOS}day<|eot_id|>{answer}]good<|eot_id|>"),
            (2, f"[{BOS}{answer}]good<|eot_id|>"),
            (6, "no_trained_tokens"),
        ]
    )


def test_left_on_a_chat_template_whose_bos_is_of_the_first_turn(tmp_path: Path) -> None:
    path = tmp_path / "own.jinja"
    path.write_text(JINJA)
    ids = {
        name: [row(TWO, template=name, max_length=n, truncation="left").ids for n in range(1, 31)]
        for name in ("chatml", str(path))
    }
    bos = demo().control_tokens[BOS].id
    assert [made[:1] for made in ids[str(path)] if made] == [[bos]] * len(
        [made for made in ids[str(path)] if made]
    )
    # Beside the BOS it is what the role template gives, which has none.
    assert ids[str(path)][1:] == [[bos, *made] if made else [] for made in ids["chatml"][:-1]]


def test_mistral_whose_header_ends_the_users_turn() -> None:
    record = turns(("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four"))
    texts = [text for _, text in sweep(record, "right", "mistral")]
    assert texts[-2:] == [f"[{BOS}[INST] one[/INST]] two<|im_end|>", "no_trained_tokens"]
    assert not any(text.endswith(("[/INST]]", "[INST]]")) for text in texts)
    texts = [text for _, text in sweep(record, "left", "mistral")]
    assert texts[-2:] == [f"[{BOS}[/INST]] four<|im_end|>", "no_trained_tokens"]


def test_vicuna_whose_headers_share_tokens_with_the_text_before() -> None:
    record = turns(
        ("system", "Good."),
        ("user", "one two"),
        ("assistant", "three"),
        ("user", "four"),
        ("assistant", "five"),
    )
    whole = "[Good. USER: one two ASSISTANT:] three<|im_end|>[USER: four ASSISTANT:] five<|im_end|>"
    assert row(record, template="vicuna").text == whole
    right = [text for _, text in sweep(record, "right", "vicuna")]
    left = [text for _, text in sweep(record, "left", "vicuna")]
    half = whole[: whole.index("[USER")]
    assert [text for text in right if not text.startswith(half)] == ["no_trained_tokens"]
    # The token `·ASSISTANT` begins in the space that ends the user's turn.
    assert {text.removeprefix(half) for text in right} >= {
        "",
        "[USER: four]",
        "[USER: four ASSISTANT: five]"[:0],
    }
    assert not any(text.rstrip("]").endswith(("ASSISTANT", "ASSISTANT:", "USER", "USER:")) for text in right)
    assert {"[ ASSISTANT:] five<|im_end|>", "[USER: four ASSISTANT:] five<|im_end|>"} <= set(left)
    assert not any(text.startswith(("[:", "[ASSISTANT", "[ANT")) for text in left)


ALPACA = {"instruction": "Add the two numbers.", "input": "2 and 2", "output": "It is 4."}


def test_alpaca() -> None:
    assert [text for _, text in sweep(ALPACA, "right", "alpaca")] == ["no_trained_tokens"]
    left = [text for _, text in sweep(ALPACA, "left", "alpaca")]
    answer = "\n\n### Response:\n]It is 4.<|im_end|>"
    assert left[0] == f"[Add the two numbers.\n\n### Input:\n2 and 2{answer}"
    assert [text for text in left if "Input" not in text] == [
        *[f"[{text}{answer}" for text in ("2 and 2", " and 2", " 2", "2", "")],
        "no_trained_tokens",
    ]
    right = {
        text.removesuffix(answer).partition("### Instruction:\n")[2]
        for _, text in sweep(ALPACA, "prompt", "alpaca")
    }
    assert right == {
        *(f"Add the two numbers.\n\n### Input:\n{text}" for text in ("2 and ", "2 and", "2")),
        *(f"{text}\n\n### Input:\n2" for text in ("Add the two numbers", "Add the two", "Add the", "Add")),
        "",
    }
    found = sweep(ALPACA, "prompt", "alpaca", truncation_side="left")
    assert {text.removesuffix(answer).partition("### Instruction:\n")[2] for _, text in found} == {
        *(
            f"{text}\n\n### Input:\n2 and 2"
            for text in (" the two numbers.", " two numbers.", " numbers.", ".")
        ),
        *(f".\n\n### Input:\n{text}" for text in (" and 2", " 2", "2")),
        "",
    }


SEGMENTS = {
    "segments": [
        {"text": "Q: one\nA:", "label": False},
        {"text": " three", "label": True},
        {"text": " four", "label": True},
        {"text": "\nQ: five\nA:", "label": False},
        {"text": " six", "label": True},
    ]
}


def test_segments_that_are_trained_one_after_the_other_are_one_answer() -> None:
    right = [text for _, text in sweep(SEGMENTS, "right", None)]
    assert right[-2:] == ["[Q: one\nA:] three four", "no_trained_tokens"]
    left = [text for _, text in sweep(SEGMENTS, "left", None)]
    assert "[ four\nQ: five\nA:] six<|im_end|>" in left
    assert left[-2:] == [" six<|im_end|>", "no_trained_tokens"]


def test_a_text_stays_trained_in_what_is_left_of_it() -> None:
    record = {"text": "one two three four"}
    right = ["one two three four", "one two three", "one two", "one"]
    assert sweep(record, "right", None) == [(1, text) for text in right]
    left = [" two three four", " three four", " four", ""]
    assert sweep(record, "left", None) == [(1, f"{text}<|im_end|>") for text in left]


# turns


LONG = turns(
    *(("system", "Be good."), ("assistant", "Welcome."), ("user", "one"), ("assistant", "two")),
    *(("user", "three"), ("tool", "four"), ("assistant", "five"), ("user", "six"), ("assistant", "seven")),
    *(("user", "eight"),),
)


def without(record: Record, first: int, count: int) -> Record:
    messages = record["messages"]
    return {**record, "messages": [*messages[:first], *messages[first + count :]]}


@pytest.mark.parametrize("template", ["jinja", "tokenizer"])
def test_turns_is_the_record_without_its_oldest_exchanges(tmp_path: Path, template: str) -> None:
    if template == "jinja":
        template = str(tmp_path / "own.jinja")
        Path(template).write_text(JINJA)
    kept = [LONG, *(without(LONG, 1, count) for count in (1, 3, 6))]
    rows = [row(record, template=template).fitted.batch for record in kept]
    lengths = [len(batch.ids) for batch in rows]
    assert lengths == sorted(lengths, reverse=True)
    for length in range(1, lengths[0]):
        made = row(LONG, template=template, max_length=length, truncation="turns")
        first = next((batch for batch, size in zip(rows, lengths, strict=True) if size <= length), None)
        if first is None:
            assert made.reason == "too_long"
            continue
        assert made.ids == first.ids.tolist()
        assert made.fitted.batch.labels().tolist() == first.labels().tolist()
        assert made.fitted.cut == (1, lengths[0] - len(first.ids))


def test_turns_keep_their_numbers_in_the_record() -> None:
    length = len(row(without(LONG, 1, 6), template="tokenizer").ids)
    made = row(LONG, template="tokenizer", max_length=length, truncation="turns")
    found = {(piece.turn, piece.role) for piece in made.fitted.batch.outlines[0].pieces}
    assert found == {(0, "system"), (7, "user"), (8, "assistant"), (9, "user")}


# Random conversations at every length, against slow and obvious versions


WORDS = (
    "one",
    " two",
    "\n",
    "three. ",
    "😀",
    "日本",
    "USER:",
    " ASSISTANT",
    "<|im_end|>",
    "[/INST]",
    "  ",
    "Ok",
)
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map("".join)
texts = texts.filter(lambda text: not text.isspace() and text not in ("<|im_end|>", "[/INST]"))
ROLE_TEMPLATES = tuple(name for name in builtin_names() if name not in ("alpaca", "plain"))


@st.composite
def records(draw: st.DrawFn) -> tuple[str | None, Record]:
    """A template's name (None: the record brings its own layout), and a record for it."""
    kind = draw(st.sampled_from(("chat", "chat", "chat", "prompt", "segments")))
    if kind == "prompt":
        given = {
            "instruction": draw(texts),
            "input": draw(st.sampled_from(("", "two"))),
            "output": draw(texts),
        }
        return draw(st.sampled_from(("alpaca", "chatml"))), given
    if kind == "segments":
        pairs = draw(st.lists(st.tuples(texts, st.booleans()), min_size=1, max_size=5))
        pairs.append((draw(texts), True))
        return None, {"segments": [{"text": text, "label": label} for text, label in pairs]}
    roles = draw(st.lists(st.sampled_from(("user", "assistant")), min_size=1, max_size=4))
    template = draw(st.sampled_from((*ROLE_TEMPLATES, "tokenizer")))
    known = TEMPLATES.get(template)
    system = draw(st.booleans()) and (known is None or "system" in known.roles)
    messages = [
        {
            "role": role,
            "content": draw(texts),
            **draw(st.sampled_from(({}, {}, {"train": False}, {"train": True}))),
        }
        for role in (*("system",) * system, "user", *roles, "assistant")
    ]
    return template, {"messages": messages}


TEMPLATES = {name: load_template(name) for name in builtin_names()}
masks = st.sampled_from(("assistant", "assistant", "last", "all"))


@dataclass(frozen=True)
class Token:
    """What the slow versions know of a token: what it is of, and all turns that its bytes are of.

    `says`: those of which it has more than a header.
    """

    id: int
    trained: bool
    turn: int | None
    header: bool
    content: bool
    touches: frozenset[int | None]
    says: frozenset[int | None]


def tokens_of(made: Row) -> list[Token]:
    pieces, batch = made.rendered.pieces, made.whole
    turn, header = turns_of(made.job, pieces)
    stops = list(accumulate(len(piece.text.encode()) for piece in pieces))
    raw = [made.job.tokenizer.token_bytes(i) for i in batch.ids.tolist()]
    assume(b"".join(raw) == made.rendered.text.encode())  # no control token took white space in
    found, at = [], 0
    for token_id, text, trained, piece in zip(
        batch.ids.tolist(), raw, batch.trained.tolist(), batch.piece.tolist(), strict=True
    ):
        touched = {
            index
            for index, stop in enumerate(stops)
            if stop - len(pieces[index].text.encode()) < at + len(text) and at < stop and pieces[index].text
        }
        touches = frozenset(turn[index] for index in touched)
        says = frozenset(turn[index] for index in touched if not header[index])
        content = pieces[piece].content
        found.append(Token(token_id, trained, turn[piece], header[piece], content, touches, says))
        at += len(text)
    return found


def turns_of(job: Job, pieces: list[Piece]) -> tuple[list[int | None], list[bool]]:
    """For each piece its turn, and whether it is a header."""
    turn: list[int | None] = [piece.turn if piece.turn >= 0 or piece.role else None for piece in pieces]
    if job.record_format == "segments":
        number, role = None, None
        for index, piece in enumerate(pieces):
            if piece.content and piece.role != role:
                number, role = (0 if number is None else number + 1), piece.role
            turn[index] = number
    header = [False] * len(pieces)
    for number in {*turn} - {None}:
        for index, piece in enumerate(pieces):
            if turn[index] == number:
                if piece.content or (piece.trained and job.config.train_on != "all"):
                    break
                header[index] = True
    for index, piece in enumerate(pieces):
        if piece.role == "assistant" and turn[index] is not None and turn[index] not in turn[:index]:
            at = index
            while (
                not header[index]
                and at
                and pieces[at - 1].role in ("user", "system")
                and not (pieces[at - 1].content or header[at - 1])
            ):
                at -= 1
            for lent in range(at, index):
                turn[lent], header[lent] = turn[index], True
    return turn, header


def slow_right(tokens: list[Token], length: int) -> list[tuple[int, bool]]:
    """The longest start in which no turn has nothing but (a part of) its header."""

    def stands(stop: int) -> bool:
        says = frozenset[int | None]().union(*(token.says for token in tokens[:stop]), {None})
        return all(token.touches <= says for token in tokens[:stop])

    stop = next(stop for stop in range(length, -1, -1) if stands(stop))
    whole = {None}
    for turn in {token.turn for token in tokens}:
        own = [at for at, token in enumerate(tokens) if token.turn == turn]
        trained = [at for at in own if tokens[at].trained]
        last = trained[-1] if trained and not tokens[trained[-1]].content else own[-1]
        if last < stop:
            whole.add(turn)
    return [(token.id, token.trained and token.turn in whole) for token in tokens[:stop]]


def slow_left(tokens: list[Token], length: int, begin: int) -> list[tuple[int, bool]]:
    """The longest end that begins with a turn, or in what one says, after the template's own beginning."""
    wanted = len(tokens) - (length - begin)
    if length <= begin:
        return []

    def begins(at: int) -> bool:
        return any(all(turn not in before.touches for before in tokens[:at]) for turn in tokens[at].touches)

    entered = tokens[wanted]
    passed = (
        entered.turn
        if entered.header
        and not begins(wanted)
        and any(token.trained for token in tokens if token.turn == entered.turn)
        else "none"
    )

    def stands(at: int) -> bool:
        return begins(at) or tokens[at].turn is None or (tokens[at].content and tokens[at].turn != passed)

    start = next((at for at in range(wanted, len(tokens)) if stands(at)), len(tokens))
    if start == len(tokens):
        return []
    cut = {turn for token in tokens[:start] for turn in token.touches} - {None}
    rest = [(token.id, token.trained and token.turn not in cut) for token in tokens[start:]]
    return [*((token.id, token.trained) for token in tokens[:begin]), *rest]


def at_length(made: Row, length: int, how: Any, bos: int | None = None, **limits: Any) -> Fitted:
    """The row at another length."""
    job = made.job
    bos = demo().control_tokens[BOS].id if bos is None else bos
    values = {"min_trained": 1, "side": "right", **limits}
    fitter = Fitter(
        Limits(length, truncation=how, **values),
        *(job.record_format, job.layout, job.render),
        everything=job.config.train_on == "all",
        bos=bos,
    )
    return fitter.fit(made.whole, made.again)


def as_pairs(batch: TokenBatch) -> list[tuple[int, bool]]:
    return list(zip(batch.ids.tolist(), batch.trained.tolist(), strict=True))


@given(records(), masks)
def test_right_is_what_the_slow_version_gives(record: tuple[str | None, Record], train_on: str) -> None:
    made = row(record[1], template=record[0], train_on=train_on)
    tokens = tokens_of(made)
    for length in range(1, len(tokens)):
        expected = slow_right(tokens, length)
        fitted = at_length(made, length, "right")
        assert as_pairs(fitted.batch) == (expected if any(trained for _, trained in expected) else [])
        assert list(fitted.dropped) == ([] if len(fitted.batch) else ["no_trained_tokens"])


@given(records(), masks)
def test_left_is_what_the_slow_version_gives(record: tuple[str | None, Record], train_on: str) -> None:
    made = row(record[1], template=record[0], train_on=train_on)
    tokens = tokens_of(made)
    begin = next((at for at, token in enumerate(tokens) if token.turn is not None or token.content), 0)
    for length in range(1, len(tokens)):
        expected = slow_left(tokens, length, begin)
        fitted = at_length(made, length, "left")
        assert as_pairs(fitted.batch) == (expected if any(trained for _, trained in expected) else [])


@given(records())
def test_no_answer_is_trained_without_its_end(record: tuple[str | None, Record]) -> None:
    """Of each turn all that was trained is trained, the terminator too, or nothing."""
    made = row(record[1], template=record[0])
    answers = trained_of_turns(made.whole)
    for how in ("right", "left"):
        for length in range(1, len(made.whole.ids)):
            batch = at_length(made, length, how).batch
            assert len(batch.ids) <= length
            assert trained_of_turns(batch).items() <= answers.items()


def trained_of_turns(batch: TokenBatch) -> dict[int, list[int]]:
    """The ids trained of each turn in which any are."""
    found: dict[int, list[int]] = {}
    for token_id, trained, piece in zip(batch.ids.tolist(), batch.trained, batch.piece, strict=True):
        if trained:
            found.setdefault(batch.outlines[0].pieces[piece].turn, []).append(token_id)
    return found


@given(texts, st.booleans())
def test_a_text_is_cut_at_any_token(text: str, longer: bool) -> None:
    made = row({"text": text * (1 + longer)})
    whole = as_pairs(made.whole)
    for length in range(1, len(whole)):
        assert as_pairs(at_length(made, length, "right").batch) == whole[:length]
        assert as_pairs(at_length(made, length, "left").batch) == whole[-length:]


@given(
    st.lists(texts, min_size=2, max_size=6),
    st.sampled_from(("chatml", "llama3", "vicuna", "tokenizer")),
    st.booleans(),
)
def test_turns_is_what_preparing_without_them_gives(said: list[str], template: str, system: bool) -> None:
    roles = ("user", "assistant") * 3
    pairs = [*[("system", "Be good.")] * system, *zip(roles, said, strict=False)]
    assume(any(role == "assistant" for role, _ in pairs))
    record = turns(*pairs)
    made = row(record, template=template)
    last = max(index for index, (role, _) in enumerate(pairs) if role == "assistant") - 1
    shorter = [
        row(without(record, int(system), count), template=template).whole
        for count in range(0, last - int(system) + 1, 2)
    ]
    for length in range(1, len(made.whole.ids)):
        fitted = at_length(made, length, "turns")
        expected = next((batch for batch in shorter if len(batch.ids) <= length), None)
        assert as_pairs(fitted.batch) == (as_pairs(expected) if expected else [])
        assert list(fitted.dropped) == ([] if expected else ["too_long"])


@given(
    st.lists(texts, min_size=2, max_size=4),
    st.sampled_from(("chatml", "llama3", "vicuna", "tokenizer")),
    st.sampled_from(("left", "right")),
)
def test_prompt_is_what_preparing_the_shorter_text_gives(said: list[str], template: str, side: str) -> None:
    """Texts cut by one token after another, in order; the first row that is short enough."""
    made, shorter = with_less_said(said, template, side)
    # Beside each other two texts may have a token less or more than by themselves: then the first that
    # fits is not the first of all that fit.
    assume(all(len(a.ids) >= len(b.ids) for a, b in pairwise(shorter)))
    for length in range(1, len(made.whole.ids)):
        fitted = at_length(made, length, "prompt", side=side)
        expected = next((batch for batch in shorter if len(batch.ids) <= length), None)
        assert as_pairs(fitted.batch) == (as_pairs(expected) if expected else [])
        assert list(fitted.dropped) == ([] if expected else ["too_long"])


@settings(max_examples=30)
@given(
    st.lists(texts, min_size=8, max_size=24),
    st.sampled_from(("chatml", "llama3", "vicuna", "tokenizer")),
    st.sampled_from(("left", "right")),
    st.data(),
)
def test_prompt_of_many_turns_is_what_preparing_shorter_texts_gives(
    said: list[str], template: str, side: str, data: st.DataObject
) -> None:
    made, shorter = with_less_said(said, template, side)
    sizes = [len(batch.ids) for batch in shorter]
    # Lengths that all rows have from one row on, and none before it.
    lengths = [size for at, size in enumerate(sizes) if max(sizes[at:]) <= size < min(sizes[:at], default=0)]
    for length in data.draw(st.lists(st.sampled_from([min(sizes) - 1, *lengths]), max_size=5, unique=True)):
        fitted = at_length(made, length, "prompt", side=side)
        expected = next((batch for batch in shorter if len(batch.ids) <= length), None)
        assert as_pairs(fitted.batch) == (as_pairs(expected) if expected else [])
        assert list(fitted.dropped) == ([] if expected else ["too_long"])


def with_less_said(said: list[str], template: str, side: str) -> tuple[Row, list[TokenBatch]]:
    """A row of turns, and the rows of these turns with one token less, with two less, ... in their prompt."""
    messages = [
        {"role": role, "content": text}
        for role, text in zip(cycle(("user", "assistant")), said, strict=False)
    ]
    made = row({"messages": messages}, template=template)
    shorter = [made.whole]
    asked = range(0, len(said) // 2 * 2, 2)  # before the last answer
    for index in asked if side == "left" else asked[::-1]:
        for text in one_token_less(messages[index]["content"], side):
            messages = [*messages]
            messages[index] = {"role": "user", "content": text}
            rendered = made.job.render(made.job.parse({"messages": messages}))
            shorter.append(made.again.encode([rendered], [7]))
    return made, shorter


@pytest.mark.parametrize("how", ["prompt", "turns"])
@pytest.mark.parametrize("pairs", [20, 200])
def test_a_long_conversation_is_laid_out_a_few_times(pairs: int, how: str) -> None:
    """However many turns must be cut: laid out for each of them, a row takes the square of its time."""
    said = [pair for n in range(pairs) for pair in (("user", f"one two {n} " * 9), ("assistant", "ok"))]
    made = row(turns(*said), template="chatml")
    laid_out: list[int] = []

    class Noted(Again):
        def encode(self, rendered: Sequence[Rendered], lines: Sequence[int]) -> TokenBatch:
            laid_out.append(len(rendered))
            return super().encode(rendered, lines)

    engine = _engine(id(demo()), demo())
    noted = Noted(RunBuilder(demo(), engine), engine, made.again.conversation)
    for share in (4, 3, 2):
        length = len(made.whole.ids) // share
        fitted = at_length(replace(made, again=noted), length, how)
        assert length - 50 < len(fitted.batch.ids) <= length
    assert len(laid_out) <= 3 * 8


def one_token_less(text: str, side: str) -> list[str]:
    """The text without one of its tokens, without two, ... as long as characters are whole and words left."""
    engine = _engine(id(demo()), demo())
    ids = engine.encode([text], np.array([len(text.encode())]), np.array([False])).ids.tolist()
    raw = [demo().token_bytes(i) for i in ids]
    found = []
    for count in range(1, len(raw)):
        left = b"".join(raw[count:] if side == "left" else raw[:-count])
        try:
            found.append(left.decode())
        except UnicodeDecodeError:
            continue
    return [text for text in found if text.strip()]


# Files: what is counted, and what other commands make of it


STORIES = [chat(f"one two {number} " * number, "three four.") for number in range(1, 9)]


@pytest.mark.parametrize("how", ["right", "left", "turns", "prompt"])
def test_rows_lie_in_files_as_they_were_fitted(tmp_path: Path, how: str) -> None:
    """Beside rows that are short enough, in order, with the counts of what was cut."""
    source = write(tmp_path / "in.jsonl", *STORIES, TWO)
    report = make(tmp_path / "out", source, max_length=29, truncation=how)
    rows = [row(record, load_tokenizer("demo"), max_length=29, truncation=how) for record in (*STORIES, TWO)]
    written = pq.read_table(next((tmp_path / "out").glob("*.parquet"))).to_pydict()
    kept = [made for made in rows if len(made.fitted.batch)]
    assert written["input_ids"] == [made.ids for made in kept]
    assert written["labels"] == [made.fitted.batch.labels().tolist() for made in kept]
    cut_rows, tokens = (sum(made.fitted.cut[i] for made in rows) for i in (0, 1))
    counts = manifest(tmp_path / "out")["counts"]
    assert counts["truncated"] == ({how: {"rows": cut_rows, "tokens_left_out": tokens}} if cut_rows else {})
    assert cut_rows > 0 or how == "right"
    assert sum(counts["dropped"].values()) == len(rows) - len(kept)
    assert report.counts.rows == len(kept)


def test_error_makes_a_long_row_a_bad_record(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", *STORIES)
    lengths = [len(row(record, load_tokenizer("demo")).ids) for record in STORIES]
    assert lengths == sorted(lengths)
    options = {"max_length": lengths[2], "truncation": "error"}
    with pytest.raises(BadRecordsError) as raised:
        make(tmp_path / "out", source, **options)
    assert raised.value.total == 5
    assert str(raised.value.rejects[0]) == (
        f"{source}:4:1: T001 too_long: the row has {lengths[3]:,} tokens, and the most is {lengths[2]:,} "
        "(--max-length); shorten the record, or let --truncation say what becomes of such rows"
    )
    assert not (tmp_path / "out").exists()
    make(tmp_path / "out", source, **options, on_error="quarantine")
    assert manifest(tmp_path / "out")["counts"]["rejected"] == {"too_long": 5}
    rejects = (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in rejects] == [4, 5, 6, 7, 8]


def test_rows_with_few_trained_tokens_are_dropped(tmp_path: Path) -> None:
    records = [chat("one", answer) for answer in ("Yes", "Yes, it is so.", "No")]
    trained = [int(row(record, load_tokenizer("demo")).whole.trained.sum()) for record in records]
    source = write(
        tmp_path / "in.jsonl",
        *records,
        turns(("user", "a"), ("assistant", "b"))
        | {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b", "train": False},
            ]
        },
    )
    report = make(tmp_path / "out", source, min_trained=trained[1])
    assert report.counts.rows == 1
    assert report.counts.dropped == {"few_trained_tokens": 2, "no_trained_tokens": 1}
    assert report.counts.findings()["T009"] == {
        "name": "few_trained_tokens",
        "severity": "error",
        "count": 2,
        "first": f"{source}:1",
    }


def test_prepare_says_what_was_cut(tmp_path: Path, sftcli_here: Here) -> None:
    source = write(tmp_path / "in.jsonl", *STORIES)
    ended = sftcli_here(
        *("prepare", str(source), "-t", "demo", "-o", str(tmp_path / "out"), "--max-length", "30"),
        *("--truncation", "prompt", "--truncation-side", "left"),
    )
    rows, tokens = manifest(tmp_path / "out")["counts"]["truncated"]["prompt"].values()
    assert ended.code == 0
    assert f"truncated  {rows} rows with a shorter prompt, {tokens} tokens left out\n" in ended.out


@pytest.mark.parametrize("how", ["right", "left", "turns", "prompt"])
def test_inspect_shows_cut_rows_as_they_are_written(tmp_path: Path, sftcli_here: Here, how: str) -> None:
    source = write(tmp_path / "in.jsonl", *STORIES, TWO)
    options = ("--max-length", "29", "--truncation", how)
    ended = sftcli_here(
        "inspect", str(source), "-t", "demo", *options, "--only", "truncated", "--format", "json"
    )
    shown = [json.loads(line) for line in ended.out.splitlines()]
    rows = [row(record, load_tokenizer("demo"), max_length=29, truncation=how) for record in (*STORIES, TWO)]
    long = [number for number, made in enumerate(rows) if len(made.whole.ids) > 29]
    assert [view["row"] for view in shown] == long
    for view in shown:
        made = rows[view["row"]]
        assert view["dropped"] == made.reason
        assert "truncated" in view["marks"]
        if made.reason is None:
            assert [token["id"] for token in view["tokens"]] == made.ids
            assert [token["label"] for token in view["tokens"]] == made.fitted.batch.labels().tolist()


def test_verify_makes_cut_rows_again(tmp_path: Path, sftcli_here: Here) -> None:
    source = write(tmp_path / "in.jsonl", *STORIES, TWO)
    for how in ("right", "left", "turns", "prompt", "error"):
        out = tmp_path / how
        make(out, source, max_length=30, truncation=how, on_error="skip")
        assert sftcli_here("verify", str(out), "--deep", "9").code == 0


# Real data


def check(made: Row, fitted: Fitted, how: str, length: int) -> None:
    """What holds of every row, whatever is in it."""
    batch, whole = fitted.batch, made.whole.ids.tolist()
    if not len(batch):
        return
    ids = batch.ids.tolist()
    assert len(ids) <= length
    assert batch.trained.any()
    if len(whole) <= length:
        assert ids == whole
    elif how == "right":
        assert ids == whole[: len(ids)]
    elif how == "left":
        assert ids == [*whole[:1], *whole[len(whole) - len(ids) + 1 :]]
    answers = trained_of_turns(made.whole)
    assert trained_of_turns(batch).items() <= answers.items()
    end = made.job.tokenizer.control_tokens["<|eot_id|>"].id
    assert all(trained[-1] == end for trained in trained_of_turns(batch).values())


@pytest.mark.parametrize("name", ["sharegpt", "alpaca_en"])
@pytest.mark.parametrize("how", ["right", "left", "turns", "prompt"])
def test_real_records(shared: Path, llama3: Tokenizer, name: str, how: str) -> None:
    lines = (shared / "data" / f"{name}.jsonl").read_bytes().splitlines()[:150]
    cut_rows = 0
    for line in lines:
        made = row(json.loads(line), llama3, template="llama3")
        for length in (24, 48, 80, 128, 512):
            fitted = at_length(made, length, how, bos=made.whole.ids[0])
            check(made, fitted, how, length)
            cut_rows += fitted.cut[0]
    # An answer to one question is all that is trained, and cannot be cut on the right.
    assert (cut_rows == 0) == (name == "alpaca_en" and how in ("right", "turns"))


# What cannot be


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"truncation": "right"}, "--truncation right: says what becomes of rows over --max-length"),
        (
            {"truncation": "left", "max_length": 9, "truncation_side": "left"},
            "--truncation-side left: is the end of a prompt that is cut off; it goes with --truncation",
        ),
        ({"truncation_side": "right"}, "--truncation-side right: is the end of a prompt"),
        ({"min_trained": 0}, "min_trained: expected 1 or more, found 0"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, options)


@pytest.mark.parametrize("how", ["turns", "prompt"])
@pytest.mark.parametrize("record", [SEGMENTS, {"text": "one two"}])
def test_records_with_their_own_layout_have_no_prompt_and_no_turns(how: str, record: Record) -> None:
    with pytest.raises(
        ConfigError, match=f"--truncation {how}: {next(iter(record))} records bring their own"
    ):
        row(record, max_length=9, truncation=how)


def test_a_prompt_template_has_no_older_turns() -> None:
    with pytest.raises(ConfigError, match=r"'alpaca' lays out one prompt and one answer.*; take prompt"):
        row(ALPACA, template="alpaca", max_length=9, truncation="turns")
