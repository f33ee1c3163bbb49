"""Which rows of a source are shown: named ones, a stretch, a sample, and what a search leaves."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from sftcli.errors import UsageError
from sftcli.view.find import Wanted
from sftcli.view.marks import Mark
from sftcli.view.row import RowView

Ranking = Literal["longest", "shortest", "least-trained"]
MARKS: tuple[Mark, ...] = get_args(Mark)
RANKINGS: tuple[Ranking, ...] = get_args(Ranking)
SHOWN_OF_A_SEARCH = 20

Item = TypeVar("Item")
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Selection:
    """What the options ask for; all that is given must hold of a row.

    `rows` are numbers from 0, negative ones from the end, in the order wanted. `span` is Python's
    slice. `sample` rows are drawn without replacement. Of `ids` a record has one. `most` caps what is
    shown (None: 20 of a search, one of a ranking, all rows that were named).
    """

    rows: tuple[int, ...] = ()
    span: tuple[int | None, int | None] = (None, None)
    sample: int | None = None
    seed: int = 0
    text: Wanted = field(default_factory=Wanted)
    marks: tuple[Mark, ...] = ()
    ranking: Ranking | None = None
    ids: tuple[str, ...] = ()
    most: int | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether something is asked of each row itself."""
        return bool(self.text or self.marks or self.ids)

    @property
    def is_search(self) -> bool:
        """Whether rows have to be looked at to know which are wanted."""
        return self.is_filtered or self.ranking is not None

    @property
    def needs_tokens(self) -> bool:
        """Whether a search has to see the tokens of the rows."""
        return bool(self.marks or self.ranking)

    @property
    def shown(self) -> int | None:
        """The most rows to show, None for any number."""
        if self.most is not None or not self.is_search:
            return self.most
        if self.ranking:
            return 1
        return None if self.sample is not None else SHOWN_OF_A_SEARCH


@dataclass(frozen=True, slots=True)
class Candidates:
    """The rows that may be wanted by their numbers alone: start <= number < stop (None: the end),
    and one of `only` where that is not None."""

    start: int = 0
    stop: int | None = None
    only: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Chunk(Generic[Item]):
    """A stretch of candidates: `searched` rows were looked at; those that match are N items with
    their numbers, int64[N], and what they are ranked by, int64[N], the least first."""

    searched: int
    numbers: Ints
    rank: Ints
    items: Sequence[Item]


class Source(Protocol[Item]):
    """Rows by their number: raw records or a prepared folder."""

    name: str
    noun: str  # what its rows are called: record or row
    seen: int  # one more than the largest row number that was met so far
    keys_met: set[str]  # of those that a search for ids looks at, the ones that are there

    def count(self) -> int:
        """How many rows there are."""

    def chunks(self, selection: Selection, candidates: Candidates, bound: "Bound") -> Iterator[Chunk[Item]]:
        """The candidates that match, in order, all of the selection but its sample applied."""

    def view(self, item: Item) -> RowView: ...


def rank_of(ranking: Ranking | None, lengths: Ints, trained: Ints) -> Ints:
    """int64[N]: what rows are ranked by, the least first, of their tokens and trained tokens."""
    if ranking is None:
        return np.zeros(len(lengths), np.int64)
    return {"longest": -lengths, "shortest": lengths, "least-trained": trained}[ranking]


def parse_span(text: str) -> tuple[int | None, int | None]:
    """`A:B` as a slice's ends. Raises UsageError."""
    match = re.fullmatch(r"\s*([+-]?\d{1,18})?\s*:\s*([+-]?\d{1,18})?\s*", text, re.ASCII)
    if not match:
        raise UsageError(f"--rows {text!r}: expected A:B with whole numbers, either one left out: 10:20, -5:")
    start, stop = (int(part) if part else None for part in match.groups())
    return start, stop


def sample_keys(numbers: Ints, seed: int) -> npt.NDArray[np.uint64]:
    """uint64[N]: each row's draw, the least of which make the sample.

    It depends on the row's number and the seed alone: a source can be read in any pieces, and raw
    data and what was prepared of it give the same rows.
    """
    with np.errstate(over="ignore"):
        return _mixed(numbers.astype(np.uint64) + _mixed(np.array([seed % 2**64], np.uint64)))


def _mixed(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's output function: a permutation of the 64-bit numbers that leaves no pattern."""
    keys = keys + np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


class Bound:
    """Which rows a sample could still take, so that the others need not be looked at."""

    def __init__(self, selection: Selection) -> None:
        # The matches of a search are counted, so all have to be looked at.
        self._draws = selection.sample is not None and not selection.is_search
        self._seed = selection.seed
        self.worst: int | None = None

    def allows(self, numbers: Ints) -> npt.NDArray[np.bool_]:
        """bool[N]: whether each row could be taken."""
        if not self._draws or self.worst is None:
            return np.ones(len(numbers), np.bool_)
        return sample_keys(numbers, self._seed) < np.uint64(self.worst)


class Search(Generic[Item]):
    """The rows of a source that a selection asks for, as an iterable to be run through once.

    When it has `ended`, `searched` rows were looked at, `matched` of them match, and `shown` were
    given out. Raises UsageError for a row that is not there.
    """

    def __init__(self, source: Source[Item], selection: Selection) -> None:
        self.source, self.selection = source, selection
        self.searched = self.matched = self.shown = 0
        self.ended = False

    def items(self) -> Iterator[Item]:
        """What `Source.view` makes rows of."""
        selection = self.selection
        if selection.rows:
            found: Iterable[Item] = self._named()
        elif selection.sample is not None or selection.ranking:
            found = self._chosen(Bound(selection))
        else:
            found = self._as_they_come()
        for item in found:
            self.shown += 1
            yield item
        self.ended = True

    def __iter__(self) -> Iterator[RowView]:
        return map(self.source.view, self.items())

    def _named(self) -> list[Item]:
        """The rows asked for by number, in the order asked for."""
        rows = self.selection.rows
        count = self.source.count() if min(rows) < 0 else None
        if count is not None:
            self._check(rows, count)
        numbers = [row % count if count else row for row in rows]
        candidates = Candidates(min(numbers), max(numbers) + 1, frozenset(numbers))
        found = self._run(candidates, Bound(self.selection))
        items = {
            number: item
            for chunk in found
            for number, item in zip(chunk.numbers.tolist(), chunk.items, strict=True)
        }
        self._check(numbers, self.source.seen)
        chosen = [items[number] for number in numbers if number in items]
        return chosen[: self.selection.shown]

    def _check(self, rows: Sequence[int], count: int) -> None:
        for row in rows:
            if not -count <= row < count:
                things = f"{count:,} {self.source.noun}{'s' * (count != 1)}"
                raise UsageError(f"--row {row}: {self.source.name} has {things}, counted from 0")

    def _as_they_come(self) -> Iterator[Item]:
        """The first matches as soon as they are found; the others are counted."""
        left = self.selection.shown
        for chunk in self._run(self._candidates(), Bound(self.selection)):
            yield from chunk.items if left is None else chunk.items[:left]
            left = None if left is None else max(left - len(chunk.items), 0)

    def _chosen(self, bound: Bound) -> list[Item]:
        """A sample, or the head of a ranking; no more than that is kept on the way."""
        selection = self.selection
        kept: list[tuple[int, int, int, Item]] = []  # key, rank, number, item
        size = selection.sample if selection.sample is not None else selection.shown
        for chunk in self._run(self._candidates(), bound):
            draws = selection.sample is not None
            keys = sample_keys(chunk.numbers, selection.seed) if draws else chunk.rank
            best = np.lexsort((chunk.numbers, keys))[:size].tolist()
            kept += [(int(keys[i]), int(chunk.rank[i]), int(chunk.numbers[i]), chunk.items[i]) for i in best]
            kept = sorted(kept, key=lambda entry: (entry[0], entry[2]))[:size]
            bound.worst = kept[-1][0] if len(kept) == size else None
        kept.sort(key=lambda entry: entry[1:3])
        return [item for *_, item in kept[: selection.shown]]

    def _candidates(self) -> Candidates:
        start, stop = self.selection.span
        if (start or 0) < 0 or (stop or 0) < 0:
            start, stop, _ = slice(start, stop).indices(self.source.count())
        return Candidates(start or 0, stop)

    def _run(self, candidates: Candidates, bound: Bound) -> Iterator[Chunk[Item]]:
        for chunk in self.source.chunks(self.selection, candidates, bound):
            self.searched += chunk.searched
            self.matched += len(chunk.items)
            yield chunk
