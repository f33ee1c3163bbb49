"""Best-fit decreasing, against the slow and obvious way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftcli.packing import best_fit_decreasing, bins_needed


def one_by_one(lengths: list[int], capacity: int) -> list[int]:
    """The longest row first, each into the bin it leaves the least room in, the first of equal ones."""
    rooms: list[int] = []
    bin_of = [-1] * len(lengths)
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        fitting = [(room, index) for index, room in enumerate(rooms) if room >= lengths[row]]
        if fitting:
            index = min(fitting)[1]
        else:
            index = len(rooms)
            rooms.append(capacity)
        rooms[index] -= lengths[row]
        bin_of[row] = index
    return bin_of


def pairs(lengths: list[int]) -> list[tuple[int, int]]:
    return [(length, lengths.count(length)) for length in dict.fromkeys(lengths)]


@pytest.mark.parametrize(
    ("lengths", "capacity", "bins"),
    [
        ([], 8, []),
        ([8], 8, [0]),
        ([1, 1, 1], 8, [0, 0, 0]),
        ([5, 5, 5], 8, [0, 1, 2]),
        ([3, 5, 2, 6], 8, [1, 1, 0, 0]),
        # The 2 goes to the bin that has 2 left and not to the one with 3, which then takes the 3.
        ([5, 6, 2, 3], 8, [1, 0, 0, 1]),
        # Two bins with equal room: the one opened first.
        ([6, 6, 2], 8, [0, 1, 0]),
        # A bin is filled with all the rows of one length that it holds before the next one is touched.
        ([3, 3, 3, 3, 3], 7, [0, 0, 1, 1, 2]),
    ],
)
def test_rows_go_where_they_leave_the_least_room(lengths: list[int], capacity: int, bins: list[int]) -> None:
    assert one_by_one(lengths, capacity) == bins
    found = best_fit_decreasing(np.array(lengths, np.int64), capacity)
    assert (found.dtype, found.tolist()) == (np.int32, bins)
    assert bins_needed(pairs(lengths), capacity) == len(set(bins))


@given(st.data())
def test_as_one_by_one(data: st.DataObject) -> None:
    capacity = data.draw(st.integers(1, 60))
    lengths = data.draw(st.lists(st.integers(1, capacity), max_size=150))
    expected = one_by_one(lengths, capacity)
    assert best_fit_decreasing(np.array(lengths, np.int32), capacity).tolist() == expected
    assert bins_needed(pairs(lengths), capacity) == len(set(expected))


@pytest.mark.parametrize("seed", range(4))
def test_as_one_by_one_on_many_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(4.5, 1.0, 3_000).astype(np.int32) + 1, 1, 1024)
    found = best_fit_decreasing(lengths, 1024)
    assert found.tolist() == one_by_one(lengths.tolist(), 1024)
    assert np.bincount(found, weights=lengths).max() <= 1024


@pytest.mark.parametrize("length", [0, -1, 9])
def test_a_row_that_fits_no_bin_is_refused(length: int) -> None:
    message = f"a row of {length} tokens cannot be packed into bins of 8"
    with pytest.raises(ValueError, match=message):
        best_fit_decreasing(np.array([3, length]), 8)
    with pytest.raises(ValueError, match=message):
        bins_needed([(3, 1), (length, 2)], 8)


def test_bins_may_be_larger_than_any_memory() -> None:
    assert bins_needed([(100, 500)], 2**31) == 1
    assert bins_needed([(10, 5)], 10**30) == 1
    assert best_fit_decreasing(np.array([3, 4]), 10**12).tolist() == [0, 0]
