"""Conversations shortened and laid out again: `turns` leaves out the oldest ones, `prompt` cuts its text.

How long a row gets is not foreseen but counted: every candidate is rendered and encoded as any record is.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch, objects
from sftcli.conversation import Conversation, Message
from sftcli.fit.again import Again
from sftcli.fit.search import Asking, Made, bounds_of, row_of, side_by_side
from sftcli.rendered import Outline, Piece, Rendered
from sftcli.templates import PromptTemplate

Side = Literal["left", "right"]
Place = int | str  # of a text: its message, or the name of its field

_NEAR = 32  # tokens by which the sum of some turns' tokens may miss what leaving them out saves
_GUESSES = 6  # after so many the search halves what is left
_SHARED = 4  # tokens of the template that a text may save when it is cut, by sharing them


@dataclass(frozen=True, slots=True)
class Shortener:
    """Makes rows of at most `length` tokens again; `layout` is the template that `render` lays out."""

    length: int
    render: Callable[[Conversation], Rendered]
    layout: object

    def turns(self, batch: TokenBatch, rows: Iterable[int], again: Again) -> dict[int, Made]:
        """Those of the rows, by number, without their oldest exchanges, as few as it takes.

        An exchange is a user's turn and all up to the next. System messages at the head stay, and so
        does the last exchange in which something is trained. Turns keep their numbers. Rows that stay
        long are not there.
        """
        return self._all(batch, rows, again, self._turns)

    def prompt(self, batch: TokenBatch, rows: Iterable[int], again: Again, side: Side) -> dict[int, Made]:
        """Those of the rows, by number, with less text in their prompt, where that is enough.

        The last text is cut first, and its end (`right`), or the first one and its beginning, by as
        few tokens of its own as it takes. Of each text some is left.
        """
        return self._all(batch, rows, again, lambda row, given: self._prompt(row, given, side))

    def _all(
        self,
        batch: TokenBatch,
        rows: Iterable[int],
        again: Again,
        search: Callable[[TokenBatch, Conversation], Asking[Made | None]],
    ) -> dict[int, Made]:
        lines = {row: int(batch.line[row]) for row in rows}
        searches = {
            row: search(batch.part(row, row + 1), again.conversation(line)) for row, line in lines.items()
        }
        found = side_by_side(searches, lines, self.render, again)
        return {row: made for row in lines if (made := found[row]) is not None}

    def _turns(self, row: TokenBatch, given: Conversation) -> Asking[Made | None]:
        sizes = _tokens_of_turns(row, len(given.messages))
        head, starts = _exchanges(given.messages, _last_trained(row))
        lengths = [len(row.ids) - int(sizes[head:start].sum()) for start in starts]

        def without(count: int) -> Asking[Made | None]:
            messages = [*given.messages[:head], *given.messages[starts[count - 1] :]]
            made = yield from row_of(msgspec.structs.replace(given, messages=messages))
            return made if made and len(made.batch.ids) <= self.length else None

        count = next((i for i, length in enumerate(lengths, 1) if length <= self.length), len(starts))
        made = (yield from without(count)) if count else None
        while made is None and 0 < count < len(starts):
            count += 1
            made = yield from without(count)
        while made is not None and count > 1 and lengths[count - 2] <= self.length + _NEAR:
            shorter = yield from without(count - 1)
            if shorter is None:
                break
            made, count = shorter, count - 1
        return _renumbered(made, head, starts[count - 1] - head) if made else None

    def _prompt(self, row: TokenBatch, given: Conversation, side: Side) -> Asking[Made | None]:
        over = len(row.ids) - self.length
        answer = _last_answer(row)
        if _fewest_tokens(row) > self.length:
            return None
        places = _prompt_texts(given, self.layout, answer)
        for place in places[::-1] if side == "right" else places:
            text = _text_at(given, place)
            cuts = _cuts(text, (yield from bounds_of(text)), side) if text else []
            if len(cuts) < 2:
                continue
            made, over = yield from self._fewest(partial(_cut, given, place, cuts), len(cuts) - 1, over)
            if made is not None:
                return made
            given = _with_text(given, place, text[cuts[-1]])
        return None

    def _fewest(
        self, cut: Callable[[int], Conversation], most: int, over: int
    ) -> Asking[tuple[Made | None, int]]:
        """The row with the fewest tokens cut that fits, of 1 to `most`; None where that many are too few.

        `cut` gives the conversation without so many, and `over` is by how many tokens the whole one's
        row is too long. Also by how many it still is without `most` of them.
        """
        low, high, found = 0, most + 1, None  # `low` are too few tokens cut, and `high` enough
        guess, last = min(over, most), over
        for step in range(most + 1):
            made = yield from row_of(cut(guess))
            excess = len(made.batch.ids) - self.length if made else over
            if excess <= 0:
                high, found = guess, made
            else:
                low, last = guess, excess
            if high - low <= 1:
                break
            guess += excess if step < _GUESSES else (low + high) // 2 - guess
            guess = min(max(guess, low + 1), high - 1)
        return found, last


def _cuts(text: str, bounds: Sequence[int], side: Side) -> list[slice]:
    """The text whole, without one token, without two, ... as long as it says something."""
    if side == "right":
        white = len(text) - len(text.lstrip())
        return [slice(stop) for stop in reversed(bounds[bisect_right(bounds, white) :])]
    white = len(text.rstrip())
    return [slice(start, None) for start in bounds[: bisect_left(bounds, white)]]


def _exchanges(messages: Sequence[Message], last_trained: int) -> tuple[int, list[int]]:
    """How many system messages stand at the head, and where the exchanges after the first one begin.

    Only those up to the last exchange in which something is trained.
    """
    head = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
    users = [index for index in range(head + 1, len(messages)) if messages[index].role == "user"]
    return head, [index for index in users if index <= last_trained]


def _prompt_texts(given: Conversation, layout: object, answer: int) -> list[Place]:
    """The texts of a prompt that may be cut, in order: before the message `answer`, the last one trained."""
    if isinstance(layout, PromptTemplate) and given.fields:
        _, parts = layout.variants[layout.wording(given.fields)]
        answers = {name for name, is_field in layout.completion if is_field}
        names = dict.fromkeys(name for name, is_field in parts if is_field)
        return [name for name in names if name != "system" and name not in answers]
    if isinstance(layout, PromptTemplate):
        answer = (
            len(given.messages) - 1
        )  # its turns are the prompt and the answer, whatever comes before them
    return [
        index
        for index, message in enumerate(given.messages[: max(answer, 0)])
        if message.role in ("user", "tool") and not message.trained
    ]


def _text_at(given: Conversation, place: Place) -> str:
    if isinstance(place, int):
        return given.messages[place].content
    text: str = given.fields[place]
    return text


def _cut(given: Conversation, place: Place, cuts: Sequence[slice], count: int) -> Conversation:
    return _with_text(given, place, _text_at(given, place)[cuts[count]])


def _with_text(given: Conversation, place: Place, text: str) -> Conversation:
    if isinstance(place, str):
        return msgspec.structs.replace(given, fields={**given.fields, place: text})
    messages = list(given.messages)
    messages[place] = msgspec.structs.replace(messages[place], content=text)
    return msgspec.structs.replace(given, messages=messages)


def _fewest_tokens(row: TokenBatch) -> int:
    """No row of this one's answers and template has fewer tokens, however short its other texts."""
    pieces = row.outlines[0].pieces
    prompt = np.array([piece.content and piece.role != "assistant" for piece in pieces], np.bool_)
    fixed = len(row.ids) - int(np.count_nonzero(prompt[row.piece]))
    return fixed - _SHARED * int(np.count_nonzero(prompt))


def _turns(row: TokenBatch) -> list[int]:
    """The turn of each of the row's pieces."""
    return [piece.turn for piece in row.outlines[0].pieces]


def _tokens_of_turns(row: TokenBatch, messages: int) -> npt.NDArray[np.int64]:
    """int64[M]: how many tokens each of M messages has."""
    turns = np.array(_turns(row))[row.piece]
    return np.bincount(turns[turns >= 0], minlength=messages)


def _last_trained(row: TokenBatch) -> int:
    """The last turn in which something is trained, or -1."""
    turns = _turns(row)
    return max((turns[piece] for piece in set(row.piece[row.trained].tolist())), default=-1)


def _last_answer(row: TokenBatch) -> int:
    """The last assistant turn in which something is trained, or -1."""
    pieces = row.outlines[0].pieces
    trained = [pieces[piece] for piece in set(row.piece[row.trained].tolist())]
    return max((piece.turn for piece in trained if piece.role == "assistant"), default=-1)


def _renumbered(made: Made, head: int, gone: int) -> Made:
    """Turns counted as in the record, of which `gone` were left out after the first `head`."""
    outline = Outline(
        Piece(piece.text, piece.content, piece.trained, piece.turn + gone, piece.role)
        if piece.turn >= head
        else piece
        for piece in made.rendered.outline.pieces
    )
    batch = replace(made.batch, outlines=objects([outline]))
    return Made(batch, msgspec.structs.replace(made.rendered, outline=outline))
