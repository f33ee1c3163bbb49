"""Which rows stand in the output, how often, on which side, and in what order: from their keys alone.

Rows are numbers here, from 0 in the order of the input. What is decided hangs on their fingerprints and
on nothing else, so that it is the same however the input was cut, and for any number of workers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from sftcli.arrange.asked import TRAIN, VALIDATION, ValidationAsked

Ints = npt.NDArray[np.int64]
Prints = npt.NDArray[np.uint64]  # [N, 2]: 16 bytes each
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Share:
    """What is asked of one source: see config.SourceOptions. `weight` None: all of its rows."""

    repeat: Fraction
    weight: Fraction | None


def repeats(prints: Prints) -> Bools:
    """bool[N]: the rows before which there is one with the same fingerprint."""
    order = np.lexsort((prints[:, 1], prints[:, 0]))  # stable: of equal ones the first row comes first
    found = np.zeros(len(prints), np.bool_)
    same = (prints[order[1:]] == prints[order[:-1]]).all(axis=1)
    found[order[1:][same]] = True
    return found


def copies(source: npt.NDArray[np.integer], whole: Prints, shares: Sequence[Share]) -> Ints:
    """int64[N]: how often each row stands, 0 where its source's share has no room for it.

    `source`: each row's index in `shares`. `whole`: the fingerprint of all that each row says. Without
    weights a source of n rows gives n x repeat rows, and with them its share of the largest mix in which
    no source gives more than that. Every row stands equally often, or one time less; those of the
    smallest fingerprints stand more often.
    """
    there = np.bincount(source, minlength=len(shares)).tolist()
    found = np.empty(len(source), np.int64)
    for number, wanted in enumerate(_wanted(there, shares)):
        rows = np.flatnonzero(source == number)
        if not len(rows):
            continue
        times, more = divmod(wanted, len(rows))
        found[rows] = times
        found[rows[np.argsort(whole[rows, 0], kind="stable")[:more]]] += 1
    return found


def _wanted(there: Sequence[int], shares: Sequence[Share]) -> list[int]:
    """How many rows each source gives, of `there` rows that it has."""
    most = [int(rows * share.repeat) for rows, share in zip(there, shares, strict=True)]
    weights = [share.weight for share in shares if share.weight is not None]
    if len(weights) < len(shares):
        return most
    whole = min(rows / weight for rows, weight in zip(most, weights, strict=True))
    return [int(weight * whole) for weight in weights]


def is_validation(prompt: Prints, asked: ValidationAsked) -> Bools:
    """bool[N]: the rows that go into `validation`; equal prompts go to the same side.

    A share takes the prompts whose hash is in that part of all numbers: whatever rows come along, a row
    stays where it is. A number of rows takes the smallest hashes, until so many rows are there.
    """
    if asked.share is not None:
        found: Bools = prompt[:, 0] < np.uint64(int(asked.share * 2**64))
        return found
    order = np.lexsort((prompt[:, 1], prompt[:, 0]))
    rows = min(asked.rows or 0, len(order))
    last = prompt[order[rows - 1]]
    while rows < len(order) and (prompt[order[rows]] == last).all():
        rows += 1
    found = np.zeros(len(prompt), np.bool_)
    found[order[:rows]] = True
    return found


def in_order(times: Ints, validation: Bools | None, seed: int | None) -> dict[str, Ints]:
    """The numbers of the rows of each side, as they stand in it.

    `times`: how often each row stands. `seed`: the rows are put in a random order, by a uniform permutation
    (None: in the order of the input).
    """
    order = np.repeat(np.arange(len(times)), times)
    if seed is not None:
        order = order[np.random.Generator(np.random.PCG64(seed)).permutation(len(order))]
    if validation is None:
        return {TRAIN: order}
    held = validation[order]
    return {TRAIN: order[~held], VALIDATION: order[held]}
