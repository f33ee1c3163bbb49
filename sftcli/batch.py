"""TokenBatch and Rows: many rows as flat arrays, before and after it is settled what is written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sftcli.rendered import Outline

Value = TypeVar("Value", bound=np.generic)
Objects = npt.NDArray[np.object_]

# What rows carry, by name: where each comes from, and fields of its record, which may have any name.
SOURCE = "source"
KEEP = "keep:"
IGNORE = -100  # the label of an untrained token: ignored by cross entropy in every framework


def objects(values: Sequence[Any]) -> Objects:
    """The values as an array of objects, whatever they are."""
    return np.fromiter(values, np.object_, len(values))


def as_offsets(counts: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """int64[N + 1]: where each of N stretches of so many begins, and where the last one ends."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def true_counts(flags: npt.NDArray[np.bool_], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """int64[R]: how many of each row's flags are true."""
    # reduceat takes one element for an empty row, and needs one to be there. In eight bits it is
    # several times as fast as in booleans.
    eight_bits = np.append(flags, np.False_).view(np.int8)
    found = np.add.reduceat(eight_bits, offsets[:-1], dtype=np.int32)
    return found.astype(np.int64) * (np.diff(offsets) > 0)


@dataclass(frozen=True, slots=True)
class _TokenRows:
    """R rows with T tokens in all.

    ids: int32[T]. trained: bool[T]. offsets: int64[R + 1], row r is ids[offsets[r]:offsets[r + 1]].
    """

    ids: npt.NDArray[np.int32]
    trained: npt.NDArray[np.bool_]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """int64[R]: tokens in each row."""
        return np.diff(self.offsets)

    @property
    def trained_counts(self) -> npt.NDArray[np.int64]:
        """int64[R]: trained tokens in each row."""
        return true_counts(self.trained, self.offsets)


@dataclass(frozen=True, slots=True)
class TokenBatch(_TokenRows):
    """Rows as they are encoded.

    piece: int32[T], the index of the token's piece in its Rendered row.
    outlines: R Outlines, whose pieces these are. line: int64[R], the input line each row came from.
    across: int64[A, 2], the tokens that have text of more than one piece, in order: the place of each,
    and the last of these pieces. straddling: int64[S], the places of those that lie across a mask boundary.
    carried: columns of R values that go with the rows, by name.
    """

    piece: npt.NDArray[np.int32]
    outlines: Objects
    line: npt.NDArray[np.int64]
    across: npt.NDArray[np.int64]
    straddling: npt.NDArray[np.int64]
    carried: Mapping[str, Objects] = field(default_factory=dict)

    @property
    def straddles(self) -> npt.NDArray[np.int32]:
        """int32[R, 2]: each row's tokens that lie across a mask boundary, those masked and those trained."""
        found = np.zeros((len(self), 2), np.int32)
        np.add.at(found, (self._rows_of(self.straddling), self.trained[self.straddling].astype(np.int64)), 1)
        return found

    def _rows_of(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The row of each of these tokens."""
        return np.searchsorted(self.offsets, places, "right") - 1

    def labels(self) -> npt.NDArray[np.int32]:
        """int32[T]: the id where a token is trained, else IGNORE; not shifted."""
        return np.where(self.trained, self.ids, np.int32(IGNORE))

    def select(self, rows: npt.NDArray[np.bool_]) -> "TokenBatch":
        """The rows where `rows` (bool[R]) is true, in order."""
        if rows.all():
            return self
        lengths = self.lengths
        tokens = np.repeat(rows, lengths)
        offsets = as_offsets(lengths * rows)  # of all rows, those left out now empty

        def moved(places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
            return places + (offsets - self.offsets)[self._rows_of(places)]

        across = self.across[tokens[self.across[:, 0]]]
        return TokenBatch(
            ids=self.ids[tokens],
            offsets=as_offsets(lengths[rows]),
            trained=self.trained[tokens],
            piece=self.piece[tokens],
            outlines=self.outlines[rows],
            line=self.line[rows],
            across=np.stack((moved(across[:, 0]), across[:, 1]), axis=1),
            straddling=moved(self.straddling[tokens[self.straddling]]),
            carried={name: values[rows] for name, values in self.carried.items()},
        )

    def part(self, first: int, stop: int) -> "TokenBatch":
        """The rows first, ..., stop - 1, as a view."""
        begin, end = int(self.offsets[first]), int(self.offsets[stop])
        across = slice(*np.searchsorted(self.across[:, 0], (begin, end)))
        straddling = slice(*np.searchsorted(self.straddling, (begin, end)))
        return TokenBatch(
            ids=self.ids[begin:end],
            offsets=self.offsets[first : stop + 1] - begin,
            trained=self.trained[begin:end],
            piece=self.piece[begin:end],
            outlines=self.outlines[first:stop],
            line=self.line[first:stop],
            across=self.across[across] - np.array((begin, 0)),
            straddling=self.straddling[straddling] - begin,
            carried={name: values[first:stop] for name, values in self.carried.items()},
        )

    @classmethod
    def joined(cls, parts: "Sequence[TokenBatch]") -> "TokenBatch":
        """The rows of one or more batches, which carry the same columns, as one batch."""
        begins = np.cumsum([0, *(len(part.ids) for part in parts)]).tolist()
        shifted = list(zip(parts, begins, strict=False))
        return cls(
            ids=np.concatenate([part.ids for part in parts]),
            offsets=np.concatenate([[0], *(part.offsets[1:] + begin for part, begin in shifted)]),
            trained=np.concatenate([part.trained for part in parts]),
            piece=np.concatenate([part.piece for part in parts]),
            outlines=np.concatenate([part.outlines for part in parts]),
            line=np.concatenate([part.line for part in parts]),
            across=np.concatenate([part.across + np.array((begin, 0)) for part, begin in shifted]),
            straddling=np.concatenate([part.straddling + begin for part, begin in shifted]),
            carried={
                name: np.concatenate([part.carried[name] for part in parts]) for name in parts[0].carried
            },
        )

    def of_pieces(self, values_of: Callable[[Outline], npt.NDArray[Value]]) -> npt.NDArray[Value]:
        """T values: for each token that of its piece; `values_of` an outline has one for each piece."""
        numbers: dict[Outline, int] = {}
        which = np.array([numbers.setdefault(outline, len(numbers)) for outline in self.outlines], np.int64)
        tables = [values_of(outline) for outline in numbers]
        firsts = np.cumsum([0, *map(len, tables)])
        if not tables:
            return values_of(Outline(()))
        return np.concatenate(tables)[np.repeat(firsts[which], self.lengths) + self.piece]


@dataclass(frozen=True, slots=True)
class Rows(_TokenRows):
    """Rows as they are written, but for their layout.

    documents: int64[D], the tokens of each document, in order; document_offsets: int64[R + 1], row r
    holds the documents [document_offsets[r], document_offsets[r + 1]), which are more than one only
    where rows are packed: then the first token of each document is untrained, since nothing in its row
    predicts it. weights: float32[T], the loss weight of each token, 0 where it is not trained; None
    where all weights are 1. turns: int32[T], each token's message, -1 for template text of none; None
    where nobody asked for them. carried: columns of D values by name.
    """

    documents: npt.NDArray[np.int64]
    document_offsets: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32] | None = None
    turns: npt.NDArray[np.int32] | None = None
    carried: Mapping[str, Objects] = field(default_factory=dict)

    def select(self, rows: npt.NDArray[np.bool_]) -> "Rows":
        """The rows where `rows` (bool[R]) is true, in order."""
        if rows.all():
            return self
        per_row = np.diff(self.document_offsets)
        tokens, documents = np.repeat(rows, self.lengths), np.repeat(rows, per_row)
        return Rows(
            ids=self.ids[tokens],
            trained=self.trained[tokens],
            offsets=as_offsets(self.lengths[rows]),
            documents=self.documents[documents],
            document_offsets=as_offsets(per_row[rows]),
            weights=None if self.weights is None else self.weights[tokens],
            turns=None if self.turns is None else self.turns[tokens],
            carried={name: values[documents] for name, values in self.carried.items()},
        )

    @classmethod
    def of(cls, batch: TokenBatch, **more: Any) -> "Rows":
        """Each row of a batch as a row of one document. `more`: weights and turns."""
        return cls(
            batch.ids,
            batch.trained,
            batch.offsets,
            documents=batch.lengths,
            document_offsets=np.arange(len(batch) + 1),
            carried=batch.carried,
            **more,
        )
