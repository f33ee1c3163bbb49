"""Rendered: one row as text, in pieces that carry their origin and their mask."""

from collections.abc import Iterable, Sequence

import msgspec


class Piece(msgspec.Struct, frozen=True, gc=False):
    """A stretch of a row's text.

    `content` is True for data, which never becomes a control token, and False for template text,
    which may. `turn` counts the conversation's messages from 0; template text that belongs to no
    message has turn -1 and role "".
    """

    text: str
    content: bool
    trained: bool
    turn: int = -1
    role: str = ""


KeptValue = str | int | float | bool  # a value of a record's field that goes along with its row


Parts = list[tuple[str, bool]]  # texts, and whether each is an answer


class Outline:
    """The pieces of a row, its data left open: a content piece has no text here.

    Rows that are laid out alike share one outline, so that what follows from it is worked out once.
    Two outlines are equal only if they are the same.
    """

    __slots__ = ("pieces",)

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self.pieces = tuple(pieces)


class Rendered(msgspec.Struct, gc=False):
    """One row before tokenizing: its outline, and the texts of its content pieces in order.

    `notes` names what the user should know, each counted once. `prints` are the record's fingerprints
    (see arrange.prints), and `said` is what it says (see arrange.said), where the run needs them.
    `weights` are the loss weights of the record's own messages, by turn; empty where all of them are 1.
    `kept` are the values of the record's fields that go along with the row.
    """

    outline: Outline
    data: list[str]
    notes: tuple[str, ...] = ()
    prints: bytes = b""
    said: Parts | None = None
    weights: tuple[float, ...] = ()
    kept: tuple[KeptValue, ...] = ()

    @classmethod
    def of(cls, pieces: Sequence[Piece], notes: tuple[str, ...] = ()) -> "Rendered":
        """A row of these pieces."""
        return cls(outline_of(pieces), [piece.text for piece in pieces if piece.content], notes)

    @property
    def pieces(self) -> list[Piece]:
        texts = iter(self.data)
        return [
            Piece(next(texts), True, piece.trained, piece.turn, piece.role) if piece.content else piece
            for piece in self.outline.pieces
        ]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


_MAX_OUTLINES = 4096  # rows of ever new layouts must not fill the memory
_outlines: dict[tuple[Piece, ...], Outline] = {}


def outline_of(pieces: Sequence[Piece]) -> Outline:
    """The outline of a row of these pieces; the same one for rows that differ in their data alone."""
    key = tuple(
        Piece("", True, piece.trained, piece.turn, piece.role) if piece.content else piece for piece in pieces
    )
    known = _outlines.get(key)
    if known is None:
        if len(_outlines) >= _MAX_OUTLINES:
            _outlines.clear()
        known = _outlines[key] = Outline(key)
    return known
