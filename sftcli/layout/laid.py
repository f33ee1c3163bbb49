"""Rows -> Laid: what a model reads of each row and what it is to answer, in one of four layouts.

With the ids a b c d, of which c d are trained:

causal    reads a b c d, and the answer in each place is the token there: - - c d
shifted   reads a b c d, and the answer in each place is the next token: - c d -
seq2seq   reads a b, and answers c d
steps     a row for each trained token: reads a b, answers c; reads a b c, answers d
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from sftcli.batch import Rows, as_offsets

Kind = Literal["causal", "shifted", "seq2seq", "steps"]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Value = TypeVar("Value", bound=np.generic)

# What is made of steps and of padding at a time: the rows given may become any number of tokens.
_TOKENS_AT_A_TIME = 1 << 20


@dataclass(frozen=True, slots=True)
class Laid:
    """R rows in a layout: `read` is what the model reads, T tokens in all.

    answers: int32[A], the token that is the answer in each place, if `learnt` (bool[A]) says so.
    answer_offsets: int64[R + 1]; row r has the answers [answer_offsets[r], answer_offsets[r + 1]).
    weights: float32[A], those of the answers, or None where all are 1. real: bool[T], False for
    padding; None where there is none.
    """

    read: Rows
    answers: npt.NDArray[np.int32]
    learnt: Bools
    answer_offsets: Ints
    weights: npt.NDArray[np.float32] | None
    real: Bools | None = None


def _causal(rows: Rows) -> Iterator[Laid]:
    yield Laid(rows, rows.ids, rows.trained, rows.offsets, rows.weights)


def _shifted(rows: Rows) -> Iterator[Laid]:
    """The last place of a document has no answer: what follows it is another document, or nothing."""
    last = np.cumsum(rows.documents) - 1
    learnt = _from_next(rows.trained)
    learnt[last] = False
    weights = None
    if rows.weights is not None:
        weights = _from_next(rows.weights)
        weights[last] = 0
    yield Laid(rows, _from_next(rows.ids), learnt, rows.offsets, weights)


def _from_next(values: npt.NDArray[Value]) -> npt.NDArray[Value]:
    """Each value one place to the left; the last place has an arbitrary one."""
    return np.roll(values, -1)


def _seq2seq(rows: Rows) -> Iterator[Laid]:
    """The trained tokens of each row stand together at its end: see `aim.last_answer`."""
    answer = rows.trained
    answers = rows.trained_counts
    read = _tokens_of(rows, np.flatnonzero(~answer), rows.lengths - answers)
    weights = None if rows.weights is None else rows.weights[answer]
    yield Laid(read, rows.ids[answer], np.ones(int(answers.sum()), np.bool_), as_offsets(answers), weights)


def _steps(rows: Rows) -> Iterator[Laid]:
    """No row begins with a trained token: see `aim.nothing_before`."""
    targets = np.flatnonzero(rows.trained)
    row_of = np.searchsorted(rows.offsets, targets, "right") - 1
    lengths = targets - rows.offsets[row_of]
    for first, stop in stretches(lengths, _TOKENS_AT_A_TIME):
        at, row, length = targets[first:stop], row_of[first:stop], lengths[first:stop]
        index = np.arange(int(length.sum())) + np.repeat(rows.offsets[row] - as_offsets(length)[:-1], length)
        read = replace(
            _tokens_of(rows, index, length),
            carried={name: values[row] for name, values in rows.carried.items()},
        )
        weights = None if rows.weights is None else rows.weights[at]
        yield Laid(read, rows.ids[at], np.ones(len(at), np.bool_), np.arange(len(at) + 1), weights)


LAYOUTS: Mapping[Kind, Callable[[Rows], Iterator[Laid]]] = {
    "causal": _causal,
    "shifted": _shifted,
    "seq2seq": _seq2seq,
    "steps": _steps,
}


def _tokens_of(rows: Rows, index: Ints, lengths: Ints) -> Rows:
    """Rows of one document of these lengths, whose tokens are those of `index`; none of them trained."""
    return Rows(
        rows.ids[index],
        np.zeros(len(index), np.bool_),
        as_offsets(lengths),
        documents=lengths,
        document_offsets=np.arange(len(lengths) + 1),
        turns=None if rows.turns is None else rows.turns[index],
        carried=rows.carried,
    )


def stretches(sizes: Ints, most: int) -> Iterator[tuple[int, int]]:
    """(first, stop) of stretches of rows that together have at most `most` tokens, or of one longer row."""
    ends = np.cumsum(sizes)
    first, done = 0, 0
    while first < len(sizes):
        stop = max(int(np.searchsorted(ends, done + most, "right")), first + 1)
        yield first, stop
        first, done = stop, int(ends[stop - 1])


def size_written(rows: Rows, kind: Kind) -> tuple[int, int]:
    """How many rows, and tokens in them, the rows become; the trained ones stay as many."""
    if kind != "steps":
        return len(rows), len(rows.ids)
    targets = np.flatnonzero(rows.trained)
    firsts = rows.offsets[np.searchsorted(rows.offsets, targets, "right") - 1]
    return len(targets), int((targets - firsts + 1).sum())
