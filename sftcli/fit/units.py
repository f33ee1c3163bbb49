"""Outline -> which pieces make a turn, and what of a turn is its header and its tail."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch
from sftcli.rendered import Outline, Piece

NOBODY = -2  # the unit of template text that belongs to no turn
_ASK = ("user", "tool", "system")

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Units:
    """What each of P pieces is to its turn.

    unit: int32[P], the turn, or NOBODY. header: bool[P], template text before what the turn says.
    content: bool[P], data.
    """

    unit: npt.NDArray[np.int32]
    header: Bools
    content: Bools

    @classmethod
    def of(cls, outline: Outline, *, free: bool, everything: bool) -> "Units":
        """The units of an outline's pieces.

        `free`: the record brings its own layout, so neighbouring segments that are all trained or all
        masked are one turn. `everything`: template text is trained, too, and cannot be told by that.
        """
        pieces = outline.pieces
        unit = _by_segments(pieces) if free else [_turn(piece) for piece in pieces]
        header = [False] * len(pieces)
        for own in _pieces_of(unit).values():
            for index in own:
                if pieces[index].content or (pieces[index].trained and not everything):
                    break
                header[index] = True
        _lend_headers(pieces, unit, header)
        content = [piece.content for piece in pieces]
        return cls(np.array(unit, np.int32), np.array(header, np.bool_), np.array(content, np.bool_))


def begin_of(row: TokenBatch, bos: int | None) -> int:
    """How many tokens at the head of the one row of a batch belong to no turn.

    They are the template's own first text. A chat template's is that of its first turn, and then it
    is the BOS alone.
    """
    pieces = row.outlines[0].pieces
    if _is_nobodys(pieces[0]) and not (len(pieces) > 1 and pieces[1].turn < 0 and not pieces[1].role):
        return int(np.argmax(np.append(row.piece, len(pieces)) > 0))
    return int(len(row.ids) > 0 and bos is not None and int(row.ids[0]) == bos)


def _is_nobodys(piece: Piece) -> bool:
    return piece.turn < 0 and not piece.role and not piece.content


def _turn(piece: Piece) -> int:
    """A system text that is not the record's own is a turn, too."""
    return NOBODY if piece.turn < 0 and not piece.role else piece.turn


def _pieces_of(unit: Sequence[int]) -> dict[int, list[int]]:
    """Each turn's pieces, in order."""
    found: dict[int, list[int]] = {}
    for index, number in enumerate(unit):
        if number != NOBODY:
            found.setdefault(number, []).append(index)
    return found


def _by_segments(pieces: Sequence[Piece]) -> list[int]:
    unit, number, role = [], NOBODY, None
    for piece in pieces:
        if piece.content and piece.role != role:
            number, role = max(number + 1, 0), piece.role
        unit.append(number)
    return unit


def _lend_headers(pieces: Sequence[Piece], unit: list[int], header: list[bool]) -> None:
    """Where an answer has no header, what ends the turn before it is that: `[/INST]`, `### Response:`."""
    for first, *_ in _pieces_of(unit).values():
        at = first - 1
        lends = pieces[first].role == "assistant" and not header[first]
        while lends and at >= 0 and not (pieces[at].content or header[at]) and pieces[at].role in _ASK:
            unit[at], header[at] = unit[first], True
            at -= 1
