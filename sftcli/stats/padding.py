"""Padding: the tokens of batches in which each row is padded to the longest."""

import numpy as np

from sftcli.stats.distribution import Distribution


def padded_at_random(lengths: Distribution, batch: int) -> float:
    """Expected tokens, padding included, of all rows in random order, `batch` at a time.

    Exact, not sampled: a batch is a random set of rows, and all of its B rows are at most v long
    with probability C(rows up to v, B) / C(rows, B). The last batch holds what is left.
    """
    rows = len(lengths)
    full, left = divmod(rows, batch)
    padded = full * batch * _expected_longest(lengths, batch) if full else 0.0
    return padded + (left * _expected_longest(lengths, left) if left else 0.0)


def padded_sorted(lengths: Distribution, batch: int) -> int:
    """Tokens, padding included, of all rows from the longest down, `batch` at a time."""
    values, stops = lengths.values[::-1], np.cumsum(lengths.rows[::-1])
    # A batch begins at every `batch`-th row; the row there is its longest.
    begun = -(-stops // batch)
    batches = np.diff(begun, prepend=0)
    padded = batch * int(values @ batches)
    short = -len(lengths) % batch
    if short:
        longest_of_last = values[np.flatnonzero(batches)[-1]]
        padded -= short * int(longest_of_last)
    return padded


def _expected_longest(lengths: Distribution, batch: int) -> float:
    """The expected longest of `batch` rows that are drawn without replacement."""
    up_to = np.cumsum(lengths.rows).astype(np.float64)
    none_longer = np.ones(len(up_to))
    for drawn in range(batch):
        none_longer *= np.maximum(up_to - drawn, 0) / (up_to[-1] - drawn)
    return float(lengths.values @ np.diff(none_longer, prepend=0.0))
