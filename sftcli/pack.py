"""Rows -> Rows: documents put together into rows of at most so many tokens.

bfd      best-fit decreasing: no document is cut
wrapped  documents joined in order, and cut every so many tokens

A document is what was a row before. The first label of each is taken away, and of each part of one
that was cut: what stands before it in the row is of another document, so nothing can predict it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from sftcli.batch import Rows, as_offsets
from sftcli.packing import best_fit_decreasing

Take = Callable[[Rows], None]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Value = TypeVar("Value", bound=np.generic)

# What `bfd` looks at together. A token takes 5 bytes while it waits, and as many while it is moved.
# Measured on instructions and chats, and rows of 2,048 and 4,096 tokens: four times as much fills
# them by less than 0.1% better.
WINDOW_TOKENS = 1 << 24
_WINDOW_ROWS = 256  # of long rows more, so that there is something to choose from
_TOKENS_AT_A_TIME = 1 << 20  # handed on


@dataclass
class LeftOut:
    """Packed rows that are not written since nothing in them is trained.

    `records` counts the records of which no part is written.
    """

    rows: int = 0
    tokens: int = 0
    records: int = 0


@contextmanager
def packed(
    how: str, length: int, write: Take, left_out: LeftOut, window: int | None = None
) -> Iterator[Take]:
    """Rows given to what this yields reach `write` packed into rows of at most `length` tokens.

    `how` is bfd or wrapped. The rows given hold one document each, for bfd of at most `length` tokens.
    What is written depends on the rows and their order alone, not on how many are given at a time.
    bfd packs at most `window` tokens together (None: 16 million, or 256 rows if that is more), so
    that memory does not grow with the number of rows. The last rows are written when the context ends
    without an error.
    """
    packer = _PACKERS[how](length, _Emitter(write, left_out), window)
    yield packer.add
    packer.finish()


class _Packer(Protocol):
    def __init__(self, length: int, emit: "_Emitter", window: int | None) -> None: ...

    def add(self, rows: Rows) -> None: ...

    def finish(self) -> None: ...


class _Emitter:
    """Hands packed rows on, without those in which nothing is trained."""

    def __init__(self, write: Take, left_out: LeftOut) -> None:
        self._write = write
        self.left_out = left_out

    def rows(self, rows: Rows) -> Bools:
        """Take away the first label of each document, in place; bool[R]: which rows were written."""
        starts = np.cumsum(rows.documents) - rows.documents
        rows.trained[starts] = False
        if rows.weights is not None:
            rows.weights[starts] = 0
        written = rows.trained_counts > 0
        if not written.all():
            self.left_out.rows += int((~written).sum())
            self.left_out.tokens += int(rows.lengths[~written].sum())
            rows = rows.select(written)
        if len(rows):
            self._write(rows)
        return written


class _BestFit:
    """Gathers a window of documents, and packs them when the next one does not go into it.

    Rows are written in the order in which they were opened, which is that of their longest document;
    documents in the order in which they were placed.
    """

    def __init__(self, length: int, emit: _Emitter, window: int | None) -> None:
        self._length = length
        self._emit = emit
        self._window = max(window or max(WINDOW_TOKENS, _WINDOW_ROWS * length), length)
        self._parts: list[Rows] = []
        self._held = 0

    def add(self, rows: Rows) -> None:
        first = 0
        while int(rows.offsets[-1] - rows.offsets[first]) > self._window - self._held:
            most = rows.offsets[first] + self._window - self._held
            stop = int(np.searchsorted(rows.offsets, most, "right")) - 1
            stop = max(stop, first + (not self._held))  # too long for any row: that is told in `finish`
            self._parts.append(_documents(rows, first, stop))
            self.finish()
            first = stop
        self._parts.append(_documents(rows, first, len(rows)))
        self._held += int(rows.offsets[-1] - rows.offsets[first])

    def finish(self) -> None:
        rows = _joined(self._parts)
        self._parts, self._held = [], 0
        bins = best_fit_decreasing(rows.documents, self._length)
        by_length = np.argsort(-rows.documents, kind="stable")  # the order in which they were placed
        order = by_length[np.argsort(bins[by_length], kind="stable")]
        per_row = np.bincount(bins)
        stops = np.cumsum(per_row)
        tokens = np.cumsum(rows.documents[order])[stops - 1]
        first = first_row = 0
        while first_row < len(stops):
            enough = (tokens[first_row - 1] if first_row else 0) + _TOKENS_AT_A_TIME
            stop_row = max(int(np.searchsorted(tokens, enough, "right")), first_row + 1)
            stop = int(stops[stop_row - 1])
            sizes = per_row[first_row:stop_row]
            written = self._emit.rows(_gathered(rows, order[first:stop], sizes))
            self._emit.left_out.records += int(sizes[~written].sum())
            first, first_row = stop, stop_row


class _Wrapped:
    """Gathers documents until they fill a row or more, and keeps what is left over for the next."""

    def __init__(self, length: int, emit: _Emitter, window: int | None) -> None:
        self._length = length
        self._emit = emit
        self._parts: list[Rows] = []
        self._held = 0
        self._stands = False  # whether a part of the first document held is written already

    def add(self, rows: Rows) -> None:
        self._parts.append(rows)
        self._held += len(rows.ids)
        if self._held >= self._length:
            self._cut(self._held // self._length * self._length)

    def finish(self) -> None:
        if self._held:
            self._cut(self._held)

    def _cut(self, stop: int) -> None:
        """Write the first `stop` tokens as rows, and hold the rest."""
        rows = _joined(self._parts)
        bounds = np.append(np.arange(0, stop, self._length), stop)
        ends = np.union1d(rows.offsets[1:], bounds[1:])
        ends = ends[ends <= stop]
        starts = np.concatenate(([0], ends[:-1]))
        whose = np.searchsorted(rows.offsets, starts, "right") - 1
        document_offsets = np.searchsorted(starts, bounds)
        written = self._emit.rows(
            Rows(
                ids=rows.ids[:stop],
                trained=rows.trained[:stop],
                offsets=bounds,
                documents=ends - starts,
                document_offsets=document_offsets,
                weights=None if rows.weights is None else rows.weights[:stop],
                turns=None if rows.turns is None else rows.turns[:stop],
                carried={name: values[whose] for name, values in rows.carried.items()},
            )
        )
        stands = np.zeros(len(rows), np.bool_)
        stands[0] = self._stands
        stands[whose[np.repeat(written, np.diff(document_offsets))]] = True
        ended = rows.offsets[1:] <= stop
        self._emit.left_out.records += int((ended & ~stands).sum())

        self._held -= stop
        going_on = int(ended.sum())  # the first document that is not written to its end
        self._stands = bool(self._held and rows.offsets[going_on] < stop and stands[going_on])
        self._parts = [_tokens_from(rows, going_on, stop)] if self._held else []


_PACKERS: dict[str, type[_Packer]] = {"bfd": _BestFit, "wrapped": _Wrapped}


def _documents(rows: Rows, first: int, stop: int) -> Rows:
    """The documents [first, stop) of rows that hold one each, as views."""
    start, end = int(rows.offsets[first]), int(rows.offsets[stop])
    return Rows(
        ids=rows.ids[start:end],
        trained=rows.trained[start:end],
        offsets=rows.offsets[first : stop + 1] - start,
        documents=rows.documents[first:stop],
        document_offsets=np.arange(stop - first + 1),
        weights=None if rows.weights is None else rows.weights[start:end],
        turns=None if rows.turns is None else rows.turns[start:end],
        carried={name: values[first:stop] for name, values in rows.carried.items()},
    )


def _tokens_from(rows: Rows, document: int, start: int) -> Rows:
    """What begins at token `start`, which is in this document, as views."""
    offsets = np.maximum(rows.offsets[document:] - start, 0)
    return Rows(
        ids=rows.ids[start:],
        trained=rows.trained[start:],
        offsets=offsets,
        documents=np.diff(offsets),
        document_offsets=np.arange(len(offsets)),
        weights=None if rows.weights is None else rows.weights[start:],
        turns=None if rows.turns is None else rows.turns[start:],
        carried={name: values[document:] for name, values in rows.carried.items()},
    )


def _joined(parts: Sequence[Rows]) -> Rows:
    """All of their documents, in order, in arrays of their own."""
    if not parts:
        nothing = np.zeros(0, np.int64)
        start = np.zeros(1, np.int64)
        return Rows(nothing.astype(np.int32), nothing.astype(np.bool_), start, nothing, start)
    documents = np.concatenate([part.documents for part in parts])
    return Rows(
        ids=np.concatenate([part.ids for part in parts]),
        trained=np.concatenate([part.trained for part in parts]),
        offsets=as_offsets(documents),
        documents=documents,
        document_offsets=np.arange(len(documents) + 1),
        weights=_column([part.weights for part in parts]),
        turns=_column([part.turns for part in parts]),
        carried={name: np.concatenate([part.carried[name] for part in parts]) for name in parts[0].carried},
    )


def _column(parts: Sequence[npt.NDArray[Value] | None]) -> npt.NDArray[Value] | None:
    """The parts of a column that all rows have or none."""
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None


def _gathered(rows: Rows, order: npt.NDArray[np.integer], per_row: Ints) -> Rows:
    """These documents in this order, `per_row` (int64[R]) of them in each row."""
    lengths = rows.documents[order]
    stops = as_offsets(lengths)
    tokens = np.repeat(rows.offsets[order] - stops[:-1], lengths)
    tokens += np.arange(len(tokens))
    document_offsets = as_offsets(per_row)
    return Rows(
        ids=rows.ids[tokens],
        trained=rows.trained[tokens],
        offsets=stops[document_offsets],
        documents=lengths,
        document_offsets=document_offsets,
        weights=None if rows.weights is None else rows.weights[tokens],
        turns=None if rows.turns is None else rows.turns[tokens],
        carried={name: values[order] for name, values in rows.carried.items()},
    )
