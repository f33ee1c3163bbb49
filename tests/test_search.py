"""Searches that run side by side: each finds what it would find alone, and all ask at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftcli.batch import TokenBatch
from sftcli.conversation import Conversation, Message
from sftcli.engine import ReferenceEngine
from sftcli.errors import RecordError
from sftcli.fit import Again
from sftcli.fit.search import Asking, Made, bounds_of, row_of, side_by_side
from sftcli.rendered import Piece, Rendered
from sftcli.runs import RunBuilder
from sftcli.tokenizer import load_tokenizer

Found = list[object]
# "row" or "bounds" (of as many texts as characters), and what is added to the text that was asked of before
Step = tuple[str, str]


def render(conversation: Conversation) -> Rendered:
    """One piece for each message; a text with a `!` is refused."""
    pieces = [
        Piece(turn.content, True, turn.role == "assistant", number, turn.role)
        for number, turn in enumerate(conversation.messages)
    ]
    if any("!" in piece.text for piece in pieces):
        raise RecordError("unsupported_message", "no shouting")
    return Rendered.of(pieces)


class Counted(Again):
    """Notes how many texts each of its calls was given."""

    def __init__(self) -> None:
        engine = ReferenceEngine(load_tokenizer("demo"))
        super().__init__(RunBuilder(load_tokenizer("demo"), engine), engine, talk_of)
        self.calls: list[tuple[str, int]] = []

    def encode(self, rendered: Sequence[Rendered], lines: Sequence[int]) -> TokenBatch:
        self.calls.append(("row", len(rendered)))
        return super().encode(rendered, lines)

    def bounds(self, texts: Sequence[str]) -> list[list[int]]:
        self.calls.append(("bounds", len(texts)))
        return super().bounds(texts)


def talk_of(line: int) -> Conversation:
    raise AssertionError(f"nobody asks what line {line} says")


def talk(text: str) -> Conversation:
    return Conversation([Message("user", text), Message("assistant", "ok")])


def search(steps: Sequence[Step]) -> Asking[Found]:
    """Asks step by step; what is asked hangs on the answers so far."""
    text, found = "", []
    for kind, more in steps:
        text += more
        if kind == "bounds":
            bounds = yield from bounds_of([text] * len(more))
            found.append(bounds)
            text += str(bounds[0][-2])
        else:
            made = yield from row_of(talk(text))
            found.append(plain(made))
            text += str(len(made.batch.ids)) if made else ""
            text = text.replace("!", "")
    return found


def plain(made: Made | None) -> object:
    """A row as values that can be compared."""
    if made is None:
        return None
    batch = made.batch
    values = (batch.ids, batch.offsets, batch.trained, batch.piece, batch.line)
    return made.rendered.text, [value.tolist() for value in values]


def alone(asking: Asking[Found], line: int, again: Again) -> Found:
    """What one search finds by itself, one question after the other."""
    answer: Any = None
    try:
        while True:
            asked = asking.send(answer)
            if not isinstance(asked, Conversation):
                answer = [again.bounds([text])[0] for text in asked]
                continue
            try:
                rendered = render(asked)
            except RecordError:
                answer = None
            else:
                answer = Made(again.encode([rendered], [line]), rendered)
    except StopIteration as end:
        return end.value


step = st.tuples(st.sampled_from(["row", "bounds"]), st.text("ab é!日", min_size=1, max_size=5))
searches = st.dictionaries(st.integers(0, 50), st.lists(step, max_size=5), max_size=6)


@given(searches, st.integers(0, 9))
def test_each_search_finds_what_it_finds_alone(steps: Mapping[int, list[Step]], first: int) -> None:
    lines = {row: first + 2 * row for row in steps}
    expected = {row: alone(search(steps[row]), lines[row], Counted()) for row in steps}
    again = Counted()
    found = side_by_side({row: search(own) for row, own in steps.items()}, lines, render, again)
    assert found == expected
    # However many there are, they ask as often as the longest one does, of each kind at most.
    rounds = max(map(len, steps.values()), default=0)
    kinds = [kind for kind, _ in again.calls]
    assert max(kinds.count("row"), kinds.count("bounds")) <= rounds
    refused = sum(made is None for own in expected.values() for made in own)
    asked = [len(more) if kind == "bounds" else 1 for own in steps.values() for kind, more in own]
    assert sum(count for _, count in again.calls) == sum(asked) - refused


def test_what_is_asked_at_once_is_encoded_at_once() -> None:
    again = Counted()
    asked = {0: [("row", "one")], 1: [("row", "two!")], 2: [("bounds", "six")], 3: [("row", "four")] * 2}
    found = side_by_side(
        {row: search(own) for row, own in asked.items()}, {n: n for n in asked}, render, again
    )
    assert again.calls == [("bounds", 3), ("row", 2), ("row", 1)]
    assert found[1] == [None]
    assert [made[0] for made in found[3] if isinstance(made, tuple)] == ["fourok", "four4fourok"]


def test_a_search_that_asks_nothing_has_its_result() -> None:
    def of_no_texts() -> Asking[Found]:
        return [*(yield from bounds_of([]))]

    again = Counted()
    assert side_by_side({3: of_no_texts()}, {3: 7}, render, again) == {3: []}
    assert side_by_side({3: search([])}, {3: 7}, render, again) == {3: []}
    assert side_by_side({}, {}, render, again) == {}
    assert again.calls == []


def test_a_fault_of_a_search_is_not_taken_for_an_answer() -> None:
    def faulty() -> Asking[Found]:
        yield from row_of(talk("a"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        side_by_side({0: search([("row", "b")]), 1: faulty()}, {0: 0, 1: 1}, render, Counted())
