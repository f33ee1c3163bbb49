"""Row lengths -> bins: best-fit decreasing, which splits no row.

The longest row goes first, each into the open bin that it leaves the least room in, or into a new
one. Rows of one length are placed together: the fullest bin that takes one of them takes as many
as it holds, since after each it is still the fullest that takes another. So the work grows with
the number of lengths and of bins, and hardly with the number of rows.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def best_fit_decreasing(lengths: npt.NDArray[np.integer], capacity: int) -> npt.NDArray[np.int32]:
    """int32[N]: the bin of each of N rows of `lengths` tokens, for bins of `capacity` tokens.

    Bins are numbered from 0 as they are opened. Rows of one length are placed in their order, and
    of bins with equal room the first is taken. Raises ValueError for a length that is not between
    1 and `capacity`.
    """
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    sizes, counts = np.unique(lengths, return_counts=True)
    bin_of = np.empty(len(lengths), np.int32)
    placed = 0
    for bins, each, rows in _placements(zip(sizes[::-1], counts[::-1], strict=True), capacity):
        bin_of[order[placed : placed + rows]] = np.repeat(bins, min(each, rows))[:rows]
        placed += rows
    return bin_of


def bins_needed(lengths: Iterable[tuple[int, int]], capacity: int) -> int:
    """How many bins `best_fit_decreasing` opens for the (length, rows) pairs, lengths in any order.

    Raises ValueError as that does.
    """
    used = 0
    for bins, _, _ in _placements(sorted(lengths, reverse=True), capacity):
        used = max(used, int(bins[-1]) + 1)
    return used


def _placements(sizes: Iterable[tuple[int, int]], capacity: int) -> Iterator[tuple[Ints, int, int]]:
    """(bins, each, rows): the next `rows` rows go into these bins, `each` into one; the last may get less.

    `sizes` are (length, rows) pairs, longest first.
    """
    rooms = _Rooms(capacity)
    for given, rows in sizes:
        size, left = int(given), int(rows)
        if not 0 < size <= capacity:
            raise ValueError(f"a row of {size} tokens cannot be packed into bins of {capacity}")
        while left:
            room = rooms.least(size)
            each = room // size
            bins = rooms.take(room, -(-left // each))
            now = min(left, each * len(bins))
            in_last = now - each * (len(bins) - 1)
            rooms.put(bins[:-1], room - each * size)
            rooms.put(bins[-1:], room - in_last * size)
            yield bins, each, now
            left -= now


class _Rooms:
    """The open bins by the room that is left in them; a new bin is one with all its room."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._opened = 0
        self._bins: dict[int, list[Ints]] = {}
        self._there: list[int] = []  # the rooms that there are bins with, in order

    def least(self, size: int) -> int:
        """The least room of a bin that takes a row of `size`."""
        place = bisect_left(self._there, size)
        return self._there[place] if place < len(self._there) else self._capacity

    def take(self, room: int, most: int) -> Ints:
        """The first `most` bins with this room, or all of them."""
        if room == self._capacity:
            first, self._opened = self._opened, self._opened + most
            return np.arange(first, self._opened)
        parts = self._bins.pop(room)
        bins = parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts))
        if len(bins) > most:
            self._bins[room] = [bins[most:]]
        else:
            del self._there[bisect_left(self._there, room)]
        return bins[:most]

    def put(self, bins: Ints, room: int) -> None:
        if len(bins) and room:
            if room not in self._bins:
                self._bins[room] = []
                insort(self._there, room)
            self._bins[room].append(bins)
