"""Rows of a prepared folder, found without reading the rows before them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sftcli.batch import IGNORE
from sftcli.errors import UsageError
from sftcli.manifest import MANIFEST
from sftcli.prepared import facts_in, own_tokenizer
from sftcli.tokenizer import Tokenizer
from sftcli.view.facts import facts_of
from sftcli.view.find import TokenSearch, has_control_text, id_readings, id_text
from sftcli.view.marks import Bools, Ints, Mark, MarkFinder
from sftcli.view.row import RowView, Source, check_ids, row_from_columns
from sftcli.view.select import Bound, Candidates, Chunk, Selection
from sftcli.view.shards import Lists, Shard, Tokens

_NUMBERS_AT_A_TIME = 1 << 20
# Why a shard cannot tell which of its rows have these marks.
_NOT_IN_A_SHARD: dict[Mark, str] = {
    "truncated": "a shard does not say which rows were cut",
    "straddle": "a shard holds tokens, and not where the text of a turn begins and ends in them",
}


class _Unit(NamedTuple):
    """A part of a shard that is read in one go: the rows [first, stop) of the whole folder."""

    shard: int
    unit: int
    first: int
    stop: int


class Dataset:
    """A finished dataset folder. Raises EnvironmentFault where it has no manifest.

    `tell` is told of the rows looked at since it was last told.
    """

    noun = "row"

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, str(folder)
        self.manifest = facts_in(folder)
        self._shards = self.manifest.shards
        self._bounds = [0, *accumulate(shard.rows for shard in self._shards)]
        self.files = [str(folder / name) for name in (*(s.file for s in self._shards), MANIFEST)]
        self.rows = self.seen = self._bounds[-1]
        self.tokenizer: Tokenizer = own_tokenizer(folder, self.manifest)
        self.tell: Callable[[int], None] = lambda done: None
        self._marks = MarkFinder(self.tokenizer)
        self._open: dict[int, Shard] = {}
        self._last: tuple[_Unit, dict[str, Lists]] | None = None

    @property
    def facts(self) -> dict[str, str]:
        """How its rows were made, in a few words each."""
        manifest, config = self.manifest, self.manifest.config
        return facts_of(
            [source.file for source in manifest.inputs],
            *(manifest.template, manifest.record_format, manifest.tokenizer.name),
            *(config.get("train_on"), config.get("train_on_eos")),
        ) | {"folder": self.name}

    @property
    def inputs(self) -> list[str]:
        """What tells its inputs from others: their checksums, or names where they have none."""
        return [source.sha256 or source.file for source in self.manifest.inputs]

    @property
    def left_out(self) -> int:
        """How many records became no row."""
        counts = self.manifest.counts
        return sum(counts.dropped.values()) + sum(counts.rejected.values())

    def count(self) -> int:
        return self.rows

    def view(self, item: int) -> RowView:
        """Row `item`, from 0. Rows near one another are read from disk once."""
        unit, columns = self._around(item)
        row = {name: column.row(item - unit.first) for name, column in columns.items()}
        documents = row.get("seq_lengths", [])
        view = row_from_columns(
            *(self.tokenizer, row["input_ids"], row["labels"], item),
            source=self._source(unit.shard, item, packed="seq_lengths" in row),
            attention_mask=row.get("attention_mask"),
            documents=documents,
        )
        return replace(view, marks=self._found_marks(view))

    def chunks(self, selection: Selection, candidates: Candidates, bound: Bound) -> Iterator[Chunk[int]]:
        """Raises UsageError for what a shard cannot tell, with what to do instead."""
        self._refuse_unknown(selection)
        if not selection.is_search:
            yield from self._numbered(candidates, bound)
            return
        for unit in self._units(candidates):
            kept, rank = self._searched(unit, selection)
            numbers = np.arange(unit.first, unit.stop)
            inside = _inside(numbers, candidates)
            self.tell(unit.stop - unit.first)
            kept &= inside
            yield Chunk(int(inside.sum()), numbers[kept], rank[kept], numbers[kept].tolist())

    def _numbered(self, candidates: Candidates, bound: Bound) -> Iterator[Chunk[int]]:
        """Rows that are known by their number alone."""
        stop = self.rows if candidates.stop is None else min(candidates.stop, self.rows)
        for first in range(min(candidates.start, stop), stop, _NUMBERS_AT_A_TIME):
            numbers = np.arange(first, min(first + _NUMBERS_AT_A_TIME, stop))
            if candidates.only is not None:
                last = min(first + _NUMBERS_AT_A_TIME, stop)
                named = sorted(row for row in candidates.only if first <= row < last)  # of any size
                numbers = np.array(named, np.int64)
            allowed = numbers[bound.allows(numbers)]
            yield Chunk(len(numbers), allowed, np.zeros(len(allowed), np.int64), allowed.tolist())

    def _searched(self, unit: _Unit, selection: Selection) -> tuple[Bools, Ints]:
        """bool[R]: the unit's rows that match; int64[R]: what they are ranked by."""
        tokens = Tokens(self._shard(unit.shard), unit.unit)
        kept = np.ones(unit.stop - unit.first, np.bool_)
        if selection.ids:
            kept &= self._with_id(unit, selection.ids)
        if "zero-trained" in selection.marks:
            kept &= tokens.trained_counts == 0
        if "no-terminator" in selection.marks:
            check_ids(self.tokenizer, tokens.ids.values)
            kept &= self._marks.unended(tokens.ids.values, tokens.labels.values != IGNORE, tokens.ids.offsets)
        if "control-text" in selection.marks and kept.any():
            kept &= self._text_search.with_control_text(*tokens.text_ids)
        if selection.text and kept.any():
            kept &= self._text_search.holding(selection.text, *tokens.text_ids)
        if selection.ranking is None:
            return kept, np.zeros(len(kept), np.int64)
        if selection.ranking == "least-trained":
            return kept, tokens.trained_counts
        return kept, -tokens.lengths if selection.ranking == "longest" else tokens.lengths

    @cached_property
    def _text_search(self) -> TokenSearch:
        return TokenSearch(self.tokenizer)

    def _with_id(self, unit: _Unit, wanted: Sequence[str]) -> Bools:
        shard = self._shard(unit.shard)
        readings = {key: values for key, values in id_readings(wanted).items() if key in shard.columns}
        if not readings:
            raise UsageError(
                f"--id: the shards hold no ids (their columns are {', '.join(shard.columns)}); "
                "look for the record in the raw data, or for its text with --find"
            )
        found = np.zeros(unit.stop - unit.first, np.bool_)
        for key, values in readings.items():
            ids = shard.arrays(unit.unit, [key])[key].to_pylist()
            found |= np.array([id_text(own) in values for own in ids], np.bool_)
        return found

    def _refuse_unknown(self, selection: Selection) -> None:
        for mark in selection.marks:
            if mark in _NOT_IN_A_SHARD:
                raise UsageError(
                    f"--only {mark}: {_NOT_IN_A_SHARD[mark]}; name the raw data, "
                    "with the options that it was prepared with"
                )

    def _found_marks(self, view: RowView) -> tuple[str, ...]:
        """The marks that can be seen in a shard."""
        ids = np.array([token.id for token in view.tokens], np.int64)
        trained = np.array([token.trained for token in view.tokens], np.bool_)
        labels = np.array([token.label for token in view.tokens], np.int64)
        found: dict[str, bool] = {
            "wrong-label": bool((trained & (labels != ids)).any()),
            "zero-trained": not trained.any(),
            "no-terminator": bool(self._marks.unended(ids, trained, np.array([0, len(ids)]))[0]),
            "control-text": has_control_text(self.tokenizer, ids.tolist()),
        }
        return tuple(mark for mark, there in found.items() if there)

    def _source(self, shard: int, row: int, packed: bool) -> Source | None:
        """The input that a row came from, and its line where each line of the input became one row.

        None where the rows of several inputs lie in any order.
        """
        file = self._shards[shard].input
        if file is None:
            return None
        one_side = len({s.split for s in self._shards}) == 1
        if packed or not one_side or self.manifest.counts.lines != self.rows:
            return Source(file, None)
        before = (s.rows for s in self._shards[:shard] if s.input == file)
        return Source(file, sum(before) + row - self._bounds[shard] + 1)

    def _shard(self, index: int) -> Shard:
        if index not in self._open:
            facts = self._shards[index]
            shard = Shard(self.folder / facts.file)
            shard.require_rows(facts.rows)
            self._open = {index: shard}
        return self._open[index]

    def _units(self, candidates: Candidates) -> Iterator[_Unit]:
        """The units that hold candidates."""
        stop = self.rows if candidates.stop is None else min(candidates.stop, self.rows)
        for index, (first, last) in enumerate(pairwise(self._bounds)):
            if first >= stop or last <= candidates.start or first == last:
                continue
            bounds = (self._shard(index).bounds + first).tolist()
            for unit, (begin, end) in enumerate(pairwise(bounds)):
                named = candidates.only is None or any(begin <= row < end for row in candidates.only)
                if begin < stop and end > candidates.start and named:
                    yield _Unit(index, unit, begin, end)

    def _around(self, row: int) -> tuple[_Unit, dict[str, Lists]]:
        """The unit that holds a row, and its columns."""
        if self._last is None or not self._last[0].first <= row < self._last[0].stop:
            index = int(np.searchsorted(self._bounds, row, "right")) - 1
            shard, first = self._shard(index), self._bounds[index]
            unit = shard.unit_of(row - first)
            begin, end = (shard.bounds[unit : unit + 2] + first).tolist()
            optional = [name for name in ("attention_mask", "seq_lengths") if name in shard.columns]
            columns = shard.read(unit, ["input_ids", "labels", *optional])
            self._last = _Unit(index, unit, begin, end), columns
        return self._last


def _inside(numbers: Ints, candidates: Candidates) -> Bools:
    inside = numbers >= candidates.start
    if candidates.stop is not None:
        inside &= numbers < candidates.stop
    if candidates.only is not None:
        named = [row for row in candidates.only if numbers[0] <= row <= numbers[-1]]  # of any size
        inside &= np.isin(numbers, named)
    return inside
