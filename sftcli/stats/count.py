"""Counts of rows by what they are, a batch at a time, without a number per row."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sftcli.batch import Rows, true_counts


@dataclass
class RowCounts:
    """How many rows have which value.

    lengths: tokens, padding left out. trained: trained tokens. shares: whole percents of its tokens
    that a row trains, rounded down. first: the id of the first trained token. documents: the lengths
    of the rows that were packed into these, empty where none were.
    """

    lengths: Counter[int] = field(default_factory=Counter)
    trained: Counter[int] = field(default_factory=Counter)
    shares: Counter[int] = field(default_factory=Counter)
    first: Counter[int] = field(default_factory=Counter)
    documents: Counter[int] = field(default_factory=Counter)

    def add_rows(self, rows: Rows, packed: bool = False) -> None:
        """Count rows that are to be written, and what was packed into them."""
        self.add(rows.ids, rows.trained, rows.offsets, rows.lengths)
        if packed:
            count_values(self.documents, rows.documents)

    def add(
        self,
        ids: npt.NDArray[Any],
        trained: npt.NDArray[np.bool_],
        offsets: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int64],
    ) -> None:
        """Count R rows: ids and trained are [T], offsets [R + 1], lengths [R] without padding."""
        counts = true_counts(trained, offsets)
        count_values(self.lengths, lengths)
        count_values(self.trained, counts)
        count_values(self.shares, 100 * counts // np.maximum(lengths, 1))
        count_values(self.first, ids[_first_trained(trained, offsets)])

    def merge(self, other: "RowCounts") -> None:
        self.lengths.update(other.lengths)
        self.trained.update(other.trained)
        self.shares.update(other.shares)
        self.first.update(other.first)
        self.documents.update(other.documents)


def count_values(counter: Counter[int], values: npt.NDArray[Any]) -> None:
    """Count each of the values once more."""
    found, rows = np.unique(values, return_counts=True)
    counter.update(dict(zip(found.tolist(), rows.tolist(), strict=True)))


def _first_trained(trained: npt.NDArray[np.bool_], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The place of the first trained token of each row that has one."""
    starts, stops = offsets[:-1], offsets[1:]
    # Few of many places: where a trained token follows an untrained one, and where a row begins.
    rises = np.append(np.flatnonzero(trained[1:] > trained[:-1]) + 1, len(trained))
    at_start = np.append(trained, np.False_)[starts]
    places: npt.NDArray[np.int64] = np.where(at_start, starts, rises[np.searchsorted(rises, starts)])
    return places[places < stops]
