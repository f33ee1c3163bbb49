"""Distribution: how many rows have which value; all figures of lengths come from one."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Distribution:
    """values: int64[K], ascending. rows: int64[K], how many rows have each value, none of them 0."""

    values: Ints
    rows: Ints

    @classmethod
    def of(cls, counted: Counter[int]) -> "Distribution":
        pairs = sorted((value, rows) for value, rows in counted.items() if rows)
        table = np.array(pairs, np.int64).reshape(-1, 2)
        return cls(table[:, 0], table[:, 1])

    def __add__(self, other: "Distribution") -> "Distribution":
        values, place = np.unique(np.concatenate([self.values, other.values]), return_inverse=True)
        rows = np.zeros(len(values), np.int64)
        np.add.at(rows, place, np.concatenate([self.rows, other.rows]))
        return Distribution(values, rows)

    def __len__(self) -> int:
        """All rows."""
        return int(self.rows.sum())

    @property
    def total(self) -> int:
        """The sum of the values of all rows."""
        return int(self.values @ self.rows)

    def percentile(self, percent: int) -> int:
        """By nearest rank: the least value that at least `percent` of a hundred rows do not exceed."""
        rank = max(-(-percent * len(self) // 100), 1)
        return int(self.values[np.searchsorted(np.cumsum(self.rows), rank)])

    def above(self, limit: int) -> tuple[int, int]:
        """(rows, sum): the rows whose value is over `limit`, and the sum of their values."""
        over = self.values > limit
        return int(self.rows[over].sum()), int(self.values[over] @ self.rows[over])

    def bin_starts(self, most: int) -> list[int]:
        """Where bins of one width, a power of two, begin: at most `most`, the last without an end.

        Where a few rows are far longer than all others, the last bin has them all.
        """
        if not len(self.values):
            return []
        low, high = int(self.values[0]), int(self.values[-1])
        usual = self.percentile(99)
        high = high if high <= 2 * usual else usual
        width = 1
        while high // width - low // width >= most:
            width *= 2
        return list(range(low // width * width, high + 1, width))

    def in_bins(self, starts: list[int]) -> list[int]:
        """The rows from each start to the next; values below the first are in no bin."""
        at = np.searchsorted(self.values, starts)
        below = np.append(np.concatenate([[0], np.cumsum(self.rows)])[at], len(self))
        return [int(rows) for rows in np.diff(below)]
