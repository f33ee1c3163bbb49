"""How the rows of one outline become runs: worked out once, filled with each row's data.

Text of the template alone, between two control tokens, is tokenized here and not in every row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

TEXT = -1  # stands in place of an id where a segment is text
DATA = -1  # stands in place of the size of a segment that is the row's own data
# What `\s` means to the tokenizers library (Unicode White_Space); str.strip() takes more.
WHITE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)

Int32s = npt.NDArray[np.int32]


class _Strip(NamedTuple):
    """Data beside control tokens that take in white space: its number, and on which sides."""

    hole: int
    left: bool
    right: bool


@dataclass(frozen=True, slots=True, eq=False)
class RunPlan:
    """The runs and segments of a row, its data left open; the data comes as texts in order.

    segments: int32[S, 4], each segment's token (or TEXT), size in bytes (or DATA), piece and mask.
    runs: int32[N, 2], how many segments each run has, and whether it leads its row. frames: for each
    run the template text around and between its data, one more than it has data; around: these as
    (before, after) where each run has one piece of data, else None. strips: the data that loses
    white space first.
    """

    segments: Int32s
    runs: Int32s
    frames: tuple[tuple[str, ...], ...]
    around: tuple[tuple[str, str], ...] | None
    strips: tuple[_Strip, ...]

    def texts(self, data: Sequence[str]) -> list[str]:
        """The runs' texts; `data` holds what is not left out."""
        if self.around is not None:
            return [before + text + after for (before, after), text in zip(self.around, data, strict=True)]
        texts = []
        at = 0
        for frame in self.frames:
            parts = [frame[0]]
            for after in frame[1:]:
                parts += (data[at], after)
                at += 1
            texts.append("".join(parts))
        return texts

    def strip(self, data: Sequence[str]) -> list[str]:
        """The data without the white space that control tokens beside it take in."""
        left = list(data)
        for hole, before, after in self.strips:
            text = left[hole].lstrip(WHITE) if before else left[hole]
            left[hole] = text.rstrip(WHITE) if after else text
        return left


@dataclass
class _Part:
    """A stretch of an open run: template text, or data (`text` is None) with its number."""

    text: str | None
    hole: int
    piece: int
    trained: bool


@dataclass
class PlanInMaking:
    """Takes a row's pieces in order. `tokenize` gives the ids of a text, which may lead its row."""

    tokenize: Callable[[str, bool], Sequence[int]]
    _segments: list[tuple[int, int, int, bool]] = field(default_factory=list)
    _runs: list[tuple[int, bool]] = field(default_factory=list)
    _frames: list[tuple[str, ...]] = field(default_factory=list)
    _strips: dict[int, _Strip] = field(default_factory=dict)
    _open: list[_Part] = field(default_factory=list)
    _leads: bool = True

    def add_data(self, hole: int, piece: int, trained: bool, strip: bool) -> None:
        """Data, whose leading white space belongs to the token before it where `strip`."""
        self._open.append(_Part(None, hole, piece, trained))
        if strip:
            self._strips[hole] = _Strip(hole, True, False)

    def add_text(self, text: str, piece: int, trained: bool) -> None:
        """Text of the template."""
        self._open.append(_Part(text, -1, piece, trained))

    def add_tokens(self, ids: Sequence[int], piece: int, trained: bool) -> None:
        """Known tokens, which end the run before them."""
        self._close()
        self._segments += [(token, 0, piece, trained) for token in ids]
        self._leads = False

    def strip_end(self) -> None:
        """Drop the white space at the end of the open run: the token that comes next takes it in."""
        while self._open:
            last = self._open[-1]
            if last.text is None:
                left = last.hole in self._strips
                self._strips[last.hole] = _Strip(last.hole, left, True)
                return
            last.text = last.text.rstrip(WHITE)
            if last.text:
                return
            self._open.pop()

    def plan(self) -> RunPlan:
        self._close()
        segments = np.array(self._segments, np.int32).reshape(-1, 4)
        runs = np.array(self._runs, np.int32).reshape(-1, 2)
        pairs = tuple((frame[0], frame[-1]) for frame in self._frames if len(frame) == 2)
        around = pairs if len(pairs) == len(self._frames) else None
        return RunPlan(segments, runs, tuple(self._frames), around, tuple(self._strips.values()))

    def _close(self) -> None:
        run, self._open = self._open, []
        if len(run) == 1 and run[0].text is not None:
            ids = self.tokenize(run[0].text, self._leads)
            self._segments += [(token, 0, run[0].piece, run[0].trained) for token in ids]
        elif run:
            sizes = [DATA if part.text is None else len(part.text.encode()) for part in run]
            self._segments += [
                (TEXT, size, part.piece, part.trained) for part, size in zip(run, sizes, strict=True)
            ]
            self._runs.append((len(run), self._leads))
            self._frames.append(_frame(run))


def _frame(run: Sequence[_Part]) -> tuple[str, ...]:
    """The template text before, between and after a run's data."""
    data = [-1, *(index for index, part in enumerate(run) if part.text is None), len(run)]
    return tuple("".join(part.text or "" for part in run[a + 1 : b]) for a, b in pairwise(data))
