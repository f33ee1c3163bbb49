"""Rows cut at a token: `right` keeps the start of a row, `left` its end.

A turn that was cut is masked in what is left of it, so that no answer is trained without its end or
without its header, and no header stays without what it heads.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch
from sftcli.fit.units import NOBODY, Units, begin_of
from sftcli.rendered import Outline

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cutter:
    """Cuts rows to at most `length` tokens.

    `record_format`: a `text` has no turns, and what is left of it stays trained. `everything`: all
    text is trained. `bos`: the id that a row may begin with.
    """

    length: int
    record_format: str
    everything: bool
    bos: int | None

    def right(self, row: TokenBatch) -> TokenBatch:
        """The start of the one row of a batch, which is longer than `length`; it may be empty."""
        stop = self.length
        if self.record_format == "text":
            return _kept(row, np.arange(stop), np.ones(len(row.ids), np.bool_))
        units = self._units(row)
        # A token ends in a header: of the turn that this is, nothing else is left.
        ends = dict(row.across.tolist())
        while stop and units.header[ends.get(stop - 1, row.piece[stop - 1])]:
            stop -= 1
        return _kept(row, np.arange(stop), _ends_before(units, row, stop))

    def left(self, row: TokenBatch) -> TokenBatch:
        """The template's own beginning and the end of the one row of a batch; it may be empty."""
        begin, size = begin_of(row, self.bos), len(row.ids)
        if begin >= self.length:
            return _kept(row, np.zeros(0, np.int64), row.trained)
        start = size - (self.length - begin)
        whole = np.ones(size, np.bool_)
        if self.record_format != "text":
            units = self._units(row)
            firsts = _firsts(units, row)
            start = _start(units, row, firsts, start)
            cut = [unit for unit, first in firsts.items() if first < start and unit != NOBODY]
            whole = ~np.isin(units.unit[row.piece], cut)
        rest = np.arange(start, size)
        return _kept(row, np.append(np.arange(begin), rest) if len(rest) else rest, whole)

    def _units(self, row: TokenBatch) -> Units:
        outline: Outline = row.outlines[0]
        free = self.record_format == "segments"
        return Units.of(outline, free=free, everything=self.everything)


def _ends_before(units: Units, row: TokenBatch, stop: int) -> Bools:
    """bool[T]: the tokens of turns of which all stands before `stop`.

    What follows a trained terminator does not count.
    """
    found, inverse = np.unique(units.unit[row.piece], return_inverse=True)
    last, last_trained = np.zeros(len(found), np.int64), np.full(len(found), -1)
    last[inverse] = np.arange(len(inverse))  # of the values for one place the last one stays
    trained = np.flatnonzero(row.trained)
    last_trained[inverse[trained]] = trained
    has_terminator = (last_trained >= 0) & ~units.content[row.piece[last_trained]]
    end = np.where(has_terminator, last_trained, last)
    whole: Bools = ((end < stop) | (found == NOBODY))[inverse]
    return whole


def _firsts(units: Units, row: TokenBatch) -> dict[int, int]:
    """The first token that has text of each turn."""
    found, places = np.unique(units.unit[row.piece], return_index=True)
    firsts = dict(zip(found.tolist(), places.tolist(), strict=True))
    for place, last in row.across.tolist():
        for unit in set(units.unit[row.piece[place] : last + 1].tolist()):
            firsts[unit] = min(firsts.get(unit, place), place)
    return firsts


def _start(units: Units, row: TokenBatch, firsts: dict[int, int], start: int) -> int:
    """Where a row may begin, from `start` on: at a turn's first token, or in what it says.

    A trained turn whose header would be cut is passed over.
    """
    begins = np.array(sorted({*firsts.values(), len(row.ids)}))
    unit, header, content = (of[row.piece] for of in (units.unit, units.header, units.content))
    while start not in begins and unit[start] != NOBODY and not content[start]:
        if header[start] and row.trained[unit == unit[start]].any():
            start = int(begins[np.searchsorted(begins, start)])
        else:
            start += 1
    return start


def _kept(row: TokenBatch, kept: Ints, whole: Bools) -> TokenBatch:
    """The tokens at the places `kept`, trained where their turn is `whole`.

    In a masked turn no token lies across a border of what is trained.
    """
    across = row.across[np.isin(row.across[:, 0], kept)]
    return replace(
        row,
        ids=row.ids[kept],
        offsets=np.array([0, len(kept)], np.int64),
        trained=(row.trained & whole)[kept],
        piece=row.piece[kept],
        across=np.stack((np.flatnonzero(np.isin(kept, across[:, 0])), across[:, 1]), axis=1),
        straddling=np.flatnonzero(np.isin(kept, row.straddling[whole[row.straddling]])),
    )
