"""Searches for what a row is made again of, run side by side.

A search asks one thing after another: what becomes of a conversation, or where a text may be cut. An
engine's call for one row costs many times what the row does, so what all searches ask is told at once.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from sftcli.batch import TokenBatch
from sftcli.conversation import Conversation
from sftcli.errors import RecordError
from sftcli.fit.again import Again
from sftcli.rendered import Rendered

Result = TypeVar("Result")
# Asks as it goes, through the two functions below.
Asking = Generator[Conversation | Sequence[str], Any, Result]


@dataclass(frozen=True, slots=True)
class Made:
    """A row that was made again, and what it was made of."""

    batch: TokenBatch
    rendered: Rendered


def row_of(conversation: Conversation) -> Asking[Made | None]:
    """The row that a conversation makes, of any length; None where the template refuses it."""
    made: Made | None = yield conversation
    return made


def bounds_of(texts: Sequence[str]) -> Asking[list[list[int]]]:
    """Where texts, none of which is empty, can be cut (see Again.bounds)."""
    bounds: list[list[int]] = yield texts
    return bounds


def side_by_side(
    searches: Mapping[int, Asking[Result]],
    lines: Mapping[int, int],
    render: Callable[[Conversation], Rendered],
    again: Again,
) -> dict[int, Result]:
    """What each search finds, by its row; `lines` are the input lines of the rows."""
    found: dict[int, Result] = {}
    answers: dict[int, Any] = dict.fromkeys(searches)
    while answers:
        asked: dict[int, Conversation | Sequence[str]] = {}
        for row, answer in answers.items():
            try:
                asked[row] = searches[row].send(answer)
            except StopIteration as end:
                found[row] = end.value
        whole = {row: asks for row, asks in asked.items() if isinstance(asks, Conversation)}
        texts = {row: asks for row, asks in asked.items() if not isinstance(asks, Conversation)}
        answers = {**_bounds(texts, again), **_made(whole, lines, render, again)}
    return found


def _bounds(texts: Mapping[int, Sequence[str]], again: Again) -> dict[int, list[list[int]]]:
    """Where the texts of each search can be cut, by number."""
    flat = [text for own in texts.values() for text in own]
    bounds = iter(again.bounds(flat) if flat else ())
    return {row: list(islice(bounds, len(own))) for row, own in texts.items()}


def _made(
    conversations: Mapping[int, Conversation],
    lines: Mapping[int, int],
    render: Callable[[Conversation], Rendered],
    again: Again,
) -> dict[int, Made | None]:
    """The row that each conversation makes, by number; None where the template refuses it."""
    made: dict[int, Made | None] = dict.fromkeys(conversations)
    rendered: dict[int, Rendered] = {}
    for row, conversation in conversations.items():
        try:
            rendered[row] = render(conversation)
        except RecordError:
            continue
    if rendered:
        batch = again.encode([*rendered.values()], [lines[row] for row in rendered])
        for place, (row, of) in enumerate(rendered.items()):
            made[row] = Made(batch.part(place, place + 1), of)
    return made
