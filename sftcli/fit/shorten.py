"""Conversations shortened and laid out again: `turns` leaves out the oldest ones, `prompt` cuts its text.

How long a row gets is not foreseen but counted: every candidate is rendered and encoded as any record is.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch, as_offsets, objects
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
        before = as_offsets(sizes)
        lengths = (len(row.ids) - before[starts] + before[head]).tolist()

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
        if _fewest_tokens(row) > self.length:
            return None
        places = [
            place
            for place in _prompt_texts(given, self.layout, _last_answer(row))
            if _says_something(given, place)
        ]
        if side == "right":
            places.reverse()
        texts = [_text_at(given, place) for place in places]
        bounds = yield from bounds_of(texts)
        cuts = [_cuts(text, own, side) for text, own in zip(texts, bounds, strict=True)]
        return (yield from self._fewest(_Cutting(given, places, cuts, side), len(row.ids) - self.length))

    def _fewest(self, cutting: "_Cutting", over: int) -> Asking[Made | None]:
        """The row with the fewest tokens cut that fits; None where all that can be cut are too few.

        `over` is by how many tokens the whole row is too long.
        """
        most = len(cutting)
        low, high, found = 0, most + 1, None  # `low` are too few tokens cut, and `high` enough
        guess = min(over, most)
        for step in range(most):
            made = yield from row_of(cutting.without(guess))
            excess = len(made.batch.ids) - self.length if made else over
            if excess <= 0:
                high, found = guess, made
            else:
                low = guess
            if high - low <= 1:
                break
            guess += excess if step < _GUESSES else (low + high) // 2 - guess
            guess = min(max(guess, low + 1), high - 1)
        return found


class _Cutting:
    """A conversation without 0, 1, 2, ... tokens of its texts, which are cut one after the other.

    `places` of P texts, in the order in which they are cut; `cuts`: where each is cut without none,
    one, ... of its tokens. The next text is cut when the one before has lost all that it can lose.
    """

    def __init__(
        self, given: Conversation, places: Sequence[Place], cuts: Sequence[Sequence[int]], side: Side
    ) -> None:
        self._given, self._places, self._cuts, self._side = given, places, cuts, side
        self._ends = list(accumulate(len(own) - 1 for own in cuts))

    def __len__(self) -> int:
        """How many tokens can be cut."""
        return self._ends[-1] if self._ends else 0

    def without(self, count: int) -> Conversation:
        """The conversation without `count` tokens, of 1 to all that can be cut."""
        last = bisect_left(self._ends, count)  # the text of which not all need go
        left = count - (self._ends[last - 1] if last else 0)
        stops = [own[-1] for own in self._cuts[:last]] + [self._cuts[last][left]]
        return _with_texts(
            self._given,
            {
                place: _text_at(self._given, place)[
                    slice(stop) if self._side == "right" else slice(stop, None)
                ]
                for place, stop in zip(self._places, stops, strict=False)
            },
        )


def _cuts(text: str, bounds: Sequence[int], side: Side) -> Sequence[int]:
    """Where a text that says something is cut to lose no token, one, two, ... as long as it still does."""
    if side == "right":
        white = len(text) - len(text.lstrip())
        return bounds[bisect_right(bounds, white) :][::-1]
    return bounds[: bisect_left(bounds, len(text.rstrip()))]


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


def _says_something(given: Conversation, place: Place) -> bool:
    text = _text_at(given, place)
    return bool(text) and not text.isspace()


def _with_texts(given: Conversation, texts: Mapping[Place, str]) -> Conversation:
    """The conversation with other texts at some places."""
    messages, fields = list(given.messages), dict(given.fields)
    for place, text in texts.items():
        if isinstance(place, str):
            fields[place] = text
        else:
            messages[place] = msgspec.structs.replace(messages[place], content=text)
    return msgspec.structs.replace(given, messages=messages, fields=fields)


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
