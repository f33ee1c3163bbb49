"""Conversations shortened and laid out again: `turns` leaves out the oldest ones, `prompt` cuts its text.

How long a row gets is not foreseen but counted: every candidate is rendered and encoded as any record is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch, objects
from sftcli.conversation import Conversation, Message
from sftcli.errors import RecordError
from sftcli.fit.again import Again
from sftcli.rendered import Outline, Piece, Rendered
from sftcli.templates import PromptTemplate

Side = Literal["left", "right"]
Place = int | str  # of a text: its message, or the name of its field

_NEAR = 32  # tokens by which the sum of some turns' tokens may miss what leaving them out saves
_GUESSES = 6  # after so many the search halves what is left


@dataclass(frozen=True, slots=True)
class Made:
    """A row that was made again, and what it was made of."""

    batch: TokenBatch
    rendered: Rendered


@dataclass(frozen=True, slots=True)
class Shortener:
    """Makes rows of at most `length` tokens again; `layout` is the template that `render` lays out."""

    length: int
    render: Callable[[Conversation], Rendered]
    layout: object

    def turns(self, row: TokenBatch, again: Again) -> Made | None:
        """The one row of a batch without its oldest exchanges, as few as it takes; None where it stays long.

        An exchange is a user's turn and all up to the next. System messages at the head stay, and so
        does the last exchange in which something is trained. Turns keep their numbers.
        """
        line = int(row.line[0])
        given = again.conversation(line)
        sizes = _tokens_of_turns(row, len(given.messages))
        head, starts = _exchanges(given.messages, _last_trained(row))
        lengths = [len(row.ids) - int(sizes[head:start].sum()) for start in starts]

        def without(count: int) -> Made | None:
            start = starts[count - 1]
            messages = [*given.messages[:head], *given.messages[start:]]
            made = self._made(msgspec.structs.replace(given, messages=messages), line, again)
            return _renumbered(made, head, start - head) if made else None

        count = next((i for i, length in enumerate(lengths, 1) if length <= self.length), len(starts))
        made = without(count) if count else None
        while made is None and 0 < count < len(starts):
            count += 1
            made = without(count)
        while made is not None and count > 1 and lengths[count - 2] <= self.length + _NEAR:
            shorter = without(count - 1)
            if shorter is None:
                break
            made, count = shorter, count - 1
        return made

    def prompt(self, row: TokenBatch, again: Again, side: Side) -> Made | None:
        """The one row of a batch with less text in its prompt; None where even that is not enough.

        The last text is cut first, and its end (`right`), or the first one and its beginning, by as
        few tokens of its own as it takes. Of each text some is left.
        """
        line = int(row.line[0])
        given = again.conversation(line)
        over = len(row.ids) - self.length
        places = _prompt_texts(given, self.layout, _last_answer(row))
        for place in places[::-1] if side == "right" else places:
            text = _text_at(given, place)
            cuts = _cuts(text, again, side)

            def cut(
                count: int,
                given: Conversation = given,
                place: Place = place,
                text: str = text,
                cuts: Sequence[slice] = cuts,
                over: int = over,
            ) -> tuple[Made | None, int]:
                made = self._any_length(_with_text(given, place, text[cuts[count]]), line, again)
                return made, len(made.batch.ids) - self.length if made else over

            if len(cuts) < 2:
                continue
            found = _fewest(cut, len(cuts) - 1, over)
            if found is not None:
                return found
            _, over = cut(len(cuts) - 1)
            given = _with_text(given, place, text[cuts[-1]])
        return None

    def _made(self, conversation: Conversation, line: int, again: Again) -> Made | None:
        """A conversation's row, or None where it is too long or the template refuses it."""
        made = self._any_length(conversation, line, again)
        return made if made and len(made.batch.ids) <= self.length else None

    def _any_length(self, conversation: Conversation, line: int, again: Again) -> Made | None:
        try:
            rendered = self.render(conversation)
        except RecordError:
            return None
        return Made(again.encode(rendered, line), rendered)


def _fewest(cut: Callable[[int], tuple[Made | None, int]], most: int, over: int) -> Made | None:
    """The row with the fewest tokens cut that fits, of 1 to `most`; None where that many are too few.

    `cut` gives the row without so many, and by how many tokens it is too long (0 or less: it fits).
    """
    low, high, found = 0, most + 1, None  # `low` are too few, and `high` enough
    guess = min(over, most)
    for step in range(most + 1):
        made, excess = cut(guess)
        if made is not None and excess <= 0:
            high, found = guess, made
        else:
            low = guess
        if high - low <= 1:
            break
        guess += excess if step < _GUESSES else (low + high) // 2 - guess
        guess = min(max(guess, low + 1), high - 1)
    return found


def _cuts(text: str, again: Again, side: Side) -> list[slice]:
    """The text whole, without one token, without two, ... as long as it says something."""
    bounds = again.bounds(text)
    if side == "right":
        white = len(text) - len(text.lstrip())
        return [slice(stop) for stop in reversed(bounds) if stop > white]
    white = len(text.rstrip())
    return [slice(start, None) for start in bounds if start < white]


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


def _with_text(given: Conversation, place: Place, text: str) -> Conversation:
    if isinstance(place, str):
        return msgspec.structs.replace(given, fields={**given.fields, place: text})
    messages = list(given.messages)
    messages[place] = msgspec.structs.replace(messages[place], content=text)
    return msgspec.structs.replace(given, messages=messages)


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
