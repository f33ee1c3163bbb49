"""Near duplicates: records that are alike in most of what they say, found by MinHash.

Two texts are as alike as the share of their runs of WORDS words that both have, of all that one of them
has (the Jaccard similarity). A record is left out where it is as alike as was asked for to an earlier
one that stays, and its answers alone are as well: two questions on one long text are no duplicates.

Which records are compared is told by their signatures (rensa's R-MinHash), cut into bands: those that
agree in a band are compared, run by run. So what is left out is decided exactly; what is not found may
be one pair in a hundred of those that are just as alike as was asked for, and fewer of those more alike.
"""

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from hashlib import blake2b
from itertools import chain, pairwise
from typing import Any, NamedTuple
from unicodedata import normalize

import numpy as np
import numpy.typing as npt

from sftcli.arrange.order import Bools, Ints
from sftcli.errors import ConfigError
from sftcli.rendered import Parts

Hashes = npt.NDArray[np.uint64]

WORDS = 5
PERMUTATIONS = 128
_SEED = 0
_FOUND = Fraction(99, 100)  # of the pairs that are just as alike as was asked for
_KEPT_IN_BAND = 64  # that later records are compared with: what more records share says little
_MOST_COMPARED = 32  # of a record, those that it shares the most bands with
_HALF, _GROUP = np.uint64(32), np.uint64((1 << 32) - 1)
_NO_WORD = [""]  # what fills a run up in a text of fewer words
_STEP = np.uint64(0x9E3779B97F4A7C15)  # odd, and its bits are well mixed
# Letters and digits together, a character each of scripts without spaces, and signs: but for
# punctuation, which near duplicates may differ in, 3+4 is another text than 3*4.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_PUNCTUATION = ".,;:!?'\"`()\\[\\]{}\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u3001\u3002"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s{_PUNCTUATION}]")


class Sketch(NamedTuple):
    """What is kept of a record to find those that are like it, as bytes of uint64.

    `keys`: one for each band. `whole`, `answers`: the hashes of the runs of words in all that it says and
    in its answers, each once, in order.
    """

    keys: bytes
    whole: bytes
    answers: bytes


class Runs(NamedTuple):
    """The hashes of a record's runs of words, as those of a Sketch."""

    whole: Hashes
    answers: Hashes


@dataclass(frozen=True, slots=True)
class Bands:
    """How a signature is cut: into `count` bands of `rows` numbers."""

    count: int
    rows: int


@cache
def bands_for(least: Fraction) -> Bands:
    """The longest bands of which pairs that are just so alike have one in common in 99 of 100 cases."""
    for rows in range(PERMUTATIONS, 1, -1):
        count = PERMUTATIONS // rows
        if 1 - (1 - least**rows) ** count >= _FOUND:
            return Bands(count, rows)
    return Bands(PERMUTATIONS, 1)


def check_rensa() -> None:
    """Raise ConfigError where the library for signatures is not installed."""
    _signer()


def _signer() -> Any:
    try:
        from rensa import RMinHash
    except ImportError as problem:
        raise ConfigError(
            f"--dedup near needs rensa ({problem}): pip install 'sftcli[near]', or take --dedup exact"
        ) from None
    return RMinHash


def sketches(said: Sequence[Parts], bands: Bands) -> list[Sketch]:
    """A Sketch of each record, of all that it says and of its answers."""
    words = list(map(words_of, said))
    known = {word: _hash(word) for word in set(_NO_WORD).union(*chain.from_iterable(words))}
    whole, ends = runs_of([whole for whole, _ in words], known)
    answers, answer_ends = runs_of([answers for _, answers in words], known)
    keys = _keys(whole, ends, bands)
    parts = np.split(whole, ends[:-1]), np.split(answers, answer_ends[:-1])
    return [
        Sketch(own.tobytes(), one.tobytes(), two.tobytes())
        for own, one, two in zip(keys, *parts, strict=True)
    ]


def words_of(said: Parts) -> tuple[list[str], list[str]]:
    """The words of all that a record says, and of its answers; a text without any is its own word."""
    found = [(_WORD.findall(_plain(text)), answers) for text, answers in said]
    whole = [word for words, _ in found for word in words]
    answered = [word for words, answers in found if answers for word in words]
    return (
        whole or ["\n".join(text for text, _ in said)],
        answered or ["\n".join(text for text, answers in said if answers)],
    )


def runs_of(texts: Sequence[list[str]], known: Mapping[str, int]) -> tuple[Hashes, Ints]:
    """The hashes of each text's runs of words, each once and in order, and where each text's end.

    `known` are the words' own hashes. A text of fewer words is one run.
    """
    texts = [text + _NO_WORD * (WORDS - len(text)) for text in texts]
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    hashes = np.fromiter(map(known.__getitem__, chain.from_iterable(texts)), np.uint64, int(sizes.sum()))
    owner = np.repeat(np.arange(len(texts)), sizes)
    count = max(len(hashes) - WORDS + 1, 0)
    runs = np.zeros(count, np.uint64)
    for at in range(WORDS):
        runs = runs * _STEP + hashes[at : at + count]
    inside = owner[:count] == owner[WORDS - 1 :]
    runs, owner = runs[inside], owner[:count][inside]
    order = np.lexsort((runs, owner))
    runs, owner = runs[order], owner[order]
    first = np.ones(len(runs), np.bool_)
    first[1:] = (runs[1:] != runs[:-1]) | (owner[1:] != owner[:-1])
    return runs[first], np.cumsum(np.bincount(owner[first], minlength=len(texts)))


def _plain(text: str) -> str:
    return (text if text.isascii() else normalize("NFKC", text)).casefold()


def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")


def _keys(runs: Hashes, ends: Ints, bands: Bands) -> Hashes:
    """uint64[R, B]: a number for each band of each record's signature."""
    offsets = np.concatenate(([0], ends)).astype(np.uint64)
    matrix = _signer().digest_matrix_from_flat_token_hashes(runs, offsets, PERMUTATIONS, _SEED)
    digest = np.array(matrix.to_rows(), np.uint64).reshape(len(ends), PERMUTATIONS)
    cut = digest[:, : bands.count * bands.rows].reshape(len(ends), bands.count, bands.rows)
    keys = np.zeros((len(ends), bands.count), np.uint64)
    for at in range(bands.rows):
        keys = keys * _STEP + cut[:, :, at]
    return keys


def near_repeats(
    bands: Iterable[Hashes], there: Bools, runs: Callable[[int], Runs], least: Fraction
) -> Bools:
    """bool[N]: the rows that are `least` alike to an earlier one that is not left out itself.

    bands: for each band the keys of all rows, uint64[N]. there: bool[N], the rows that are looked at.
    `runs` gives the runs of a row.
    """
    met, groups = _met(bands, there)
    left_out = np.zeros(len(there), np.bool_)
    rows = met >> _HALF
    begins = np.flatnonzero(np.append(True, rows[1:] != rows[:-1])[: len(rows)])
    kept = _Kept(groups)
    for begin, end in pairwise([*begins.tolist(), len(rows)]):
        row, own = int(rows[begin]), (met[begin:end] & _GROUP).tolist()
        likely = kept.likely(own)
        if likely and _is_near(runs(row), map(runs, likely), least):
            left_out[row] = True
        else:
            kept.add(row, own)
    return left_out


def _met(bands: Iterable[Hashes], there: Bools) -> tuple[Hashes, int]:
    """The rows that share the key of a band with another one, in order, and how many such keys there are.

    Each as a number whose upper half is the row, and whose lower half is that of the key.
    """
    found, groups = [np.zeros(0, np.uint64)], 0
    rows = np.flatnonzero(there).astype(np.uint64)
    for keys in bands:
        own = keys[there]
        order = np.argsort(own, kind="stable")
        own = own[order]
        same = own[1:] == own[:-1]
        shared = (np.append(same, False) | np.append(False, same))[: len(own)]
        begins = np.append(True, ~same)[: len(own)][shared]
        number = np.cumsum(begins, dtype=np.uint64) + np.uint64(groups) - np.uint64(1)
        found.append(rows[order[shared]] << _HALF | number)
        groups += int(begins.sum())
    met = np.concatenate(found)
    met.sort()
    return met, groups


class _Kept:
    """The rows that stay, by the keys that they share with others."""

    def __init__(self, groups: int) -> None:
        self._first = array("q", [-1]) * groups
        self._more: dict[int, list[int]] = {}

    def likely(self, groups: Sequence[int]) -> list[int]:
        """The rows that share the most of these keys; of equals the first."""
        shared = Counter(
            other
            for group in groups
            if self._first[group] >= 0
            for other in (self._first[group], *self._more.get(group, ()))
        )
        return [row for row, _ in sorted(shared.items(), key=lambda one: (-one[1], one[0]))[:_MOST_COMPARED]]

    def add(self, row: int, groups: Sequence[int]) -> None:
        for group in groups:
            if self._first[group] < 0:
                self._first[group] = row
            else:
                members = self._more.setdefault(group, [])
                if len(members) < _KEPT_IN_BAND - 1:
                    members.append(row)


def _is_near(row: Runs, others: Iterable[Runs], least: Fraction) -> bool:
    return any(
        are_alike(row.answers, other.answers, least) and are_alike(row.whole, other.whole, least)
        for other in others
    )


def are_alike(one: Hashes, two: Hashes, least: Fraction) -> bool:
    """Whether the Jaccard similarity of two sets, each in order, is `least` or more."""
    small, large = sorted((len(one), len(two)))
    if small * least.denominator < least.numerator * large:
        return False
    both = len(np.intersect1d(one, two, assume_unique=True))
    return both * least.denominator >= least.numerator * (small + large - both)
