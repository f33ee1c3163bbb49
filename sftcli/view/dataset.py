"""Rows of a prepared folder, found without reading the rows before them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sftcli.errors import UsageError
from sftcli.manifest import MANIFEST
from sftcli.prepared import facts_in, own_tokenizer
from sftcli.tokenizer import Tokenizer
from sftcli.view.aligned import APART, Lists, aligned, documents_of, in_place, needed, of_read
from sftcli.view.facts import facts_of, shape_of
from sftcli.view.find import TokenSearch, has_control_text, id_readings, id_text
from sftcli.view.layouts import config_in, layout_in
from sftcli.view.marks import Bools, Ints, Mark, MarkFinder
from sftcli.view.row import RowView, Source, check_ids, row_from_columns, shortest
from sftcli.view.select import Bound, Candidates, Chunk, Selection
from sftcli.view.shards import Shard, Tokens

if TYPE_CHECKING:
    import pyarrow as pa

# Columns of lists that say more of the tokens, or of documents.
_LISTS = ("turn_ids", "loss_weights", "seq_lengths", "seq_start_id")
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
    """A finished dataset folder, or one split of it, whose rows are then counted from 0.

    Raises EnvironmentFault where it has no manifest, UsageError where it has no such split. `tell` is
    told of the rows looked at since it was last told. `keys_met` are the columns that a search for ids
    looks at and the shards have.
    """

    noun = "row"

    def __init__(self, folder: Path, split: str | None = None) -> None:
        self.folder, self.split = folder, split
        self.name = str(folder) if split is None else f"{folder} ({split})"
        self.manifest = facts_in(folder)
        shards = self.manifest.shards
        self.splits = list(dict.fromkeys(shard.split for shard in shards))
        if split is not None and split not in self.splits:
            raise UsageError(
                f"--split {split}: {folder} has {self.splits[0] if self.splits else 'no rows'} alone; "
                "`prepare --val-size` makes a validation split"
            )
        self._shards = [shard for shard in shards if split in (None, shard.split)]
        self._bounds = [0, *accumulate(shard.rows for shard in self._shards)]
        self.files = [str(folder / name) for name in (*(s.file for s in shards), MANIFEST)]
        self.keys_met: set[str] = set()
        self.rows = self.seen = self._bounds[-1]
        self.tokenizer: Tokenizer = own_tokenizer(folder, self.manifest)
        self.tell: Callable[[int], None] = lambda done: None
        self._marks = MarkFinder(self.tokenizer)
        self._open: dict[int, Shard] = {}
        self._config = config_in(folder, self.manifest)
        self._layout = layout_in(folder, self.manifest)
        self._last: tuple[_Unit, dict[str, Lists], dict[str, pa.Array]] | None = None

    @property
    def facts(self) -> dict[str, str]:
        """How its rows were made, in a few words each."""
        manifest, config = self.manifest, self.manifest.config
        return facts_of(
            [source.file for source in manifest.inputs],
            *(manifest.template, manifest.record_format, manifest.tokenizer.name),
            *(config.get("train_on"), config.get("train_on_eos")),
        ) | {**shape_of(self._config), "folder": self.name}

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
        unit, columns, others = self._around(item)
        lists = {name: column.of_row(item - unit.first) for name, column in columns.items()}
        more = {name: column.slice(item - unit.first, 1).to_pylist()[0] for name, column in others.items()}
        tokens, layout = aligned(lists, self._layout), self._layout
        documents = documents_of(lists, tokens.lengths) if layout.packed else None
        read, answers = lists["input_ids"], lists[needed(layout, padding=False)[1]]
        turns, weights = lists.get("turn_ids"), lists.get("loss_weights")
        view = row_from_columns(
            *(self.tokenizer, tokens.ids, tokens.labels, item),
            source=self._source(unit.shard, item),
            attention_mask=None if tokens.real is None else tokens.real.tolist(),
            documents=() if documents is None else documents.row(0),
            turns=None if turns is None else of_read(turns, answers, layout, -1).tolist(),
            weights=None
            if weights is None
            else [shortest(weight) for weight in in_place(weights, read, layout, 0)],
            answer=len(read.values) if layout.kind in APART else None,
        )
        view = replace(view, marks=self._found_marks(view), **self._in_split(unit.shard, item))
        return _with_fields(view, more, layout.packed)

    def _in_split(self, shard: int, row: int) -> dict[str, Any]:
        """Of a folder of several splits: which one a row is in, and its number there."""
        if len(self.splits) < 2:
            return {}
        split = self._shards[shard].split
        first = next(index for index, other in enumerate(self._shards) if other.split == split)
        return {"split": split, "place": row - self._bounds[first]}

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
            rows = tokens.all
            check_ids(self.tokenizer, rows.ids)
            kept &= self._marks.unended(rows.ids, rows.trained, rows.offsets)
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
        self.keys_met.update(readings)
        if not readings:
            raise UsageError(
                f"--id: the shards hold no ids (their columns are {', '.join(shard.columns)}); "
                "look for the record in the raw data, or for its text with --find"
            )
        found = np.zeros(unit.stop - unit.first, np.bool_)
        for key, values in readings.items():
            ids = shard.arrays(unit.unit, [key])[key].to_pylist()
            found |= np.array(
                [
                    any(id_text(one) in values for one in (own if isinstance(own, list) else [own]))
                    for own in ids
                ],
                np.bool_,
            )
        return found

    def _refuse_unknown(self, selection: Selection) -> None:
        if self._layout.kind == "steps" and "no-terminator" in selection.marks:
            raise UsageError(
                "--only no-terminator: each row of this folder (--layout steps) answers with one token; name "
                "the raw data, with the options that it was prepared with"
            )
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
        is_step = self._layout.kind == "steps"  # which ends an answer once
        found: dict[str, bool] = {
            "wrong-label": bool((trained & (labels != ids)).any()),
            "zero-trained": not trained.any(),
            "no-terminator": not is_step
            and bool(self._marks.unended(ids, trained, np.array([0, len(ids)]))[0]),
            "control-text": has_control_text(self.tokenizer, ids.tolist()),
        }
        return tuple(mark for mark, there in found.items() if there)

    def _source(self, shard: int, row: int) -> Source | None:
        """The input that a row came from, and its line where each line of the input became one row.

        None where the rows of several inputs lie in any order.
        """
        file, inputs = self._shards[shard].input, self.manifest.inputs
        if file is None:
            return Source(inputs[0].file, None) if len(inputs) == 1 else None
        one_side = len(self.splits) == 1
        config, counts = self.manifest.config, self.manifest.counts
        moved = self._layout.packed or self._layout.kind == "steps" or config.get("shuffle")
        if moved or not one_side or not counts.lines == counts.standing == self.rows:
            return Source(file, None)
        before = (s.rows for s in self._shards[:shard] if s.input == file)
        return Source(file, sum(before) + row - self._bounds[shard] + 1)

    def _shard(self, index: int) -> Shard:
        if index not in self._open:
            facts = self._shards[index]
            shard = Shard(self.folder / facts.file, self._layout)
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

    def _around(self, row: int) -> "tuple[_Unit, dict[str, Lists], dict[str, pa.Array]]":
        """The unit that holds a row, its columns of a value for each token or document, and the others."""
        if self._last is None or not self._last[0].first <= row < self._last[0].stop:
            index = int(np.searchsorted(self._bounds, row, "right")) - 1
            shard, first = self._shard(index), self._bounds[index]
            unit = shard.unit_of(row - first)
            begin, end = (shard.bounds[unit : unit + 2] + first).tolist()
            layout = self._layout
            names = dict.fromkeys(
                [*needed(layout, padding=True), *(name for name in _LISTS if name in layout.names)]
            )
            columns = shard.read(unit, list(names))
            others = shard.arrays(
                unit, [name for name in layout.names if name in ("source", "length", *layout.kept)]
            )
            self._last = _Unit(index, unit, begin, end), columns, others
        return self._last


def _with_fields(view: RowView, more: Mapping[str, Any], packed: bool) -> RowView:
    """The row with what went along with its record, or with its documents'."""
    places = more.get("source")
    values = [(name, value) for name, value in more.items() if name != "source"]
    fields = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in values)
    if packed:
        return replace(view, fields=fields, sources=tuple(map(_source_of, places or ())))
    source = view.source if places is None else _source_of(places)
    return replace(view, fields=fields, source=source, id=id_text(more.get("id")))


def _source_of(place: str) -> Source:
    """What a column `source` says: the file, and the line where that is a number."""
    file, _, line = str(place).rpartition(":")
    return Source(file, int(line)) if line.isascii() and line.isdigit() else Source(str(place), None)


def _inside(numbers: Ints, candidates: Candidates) -> Bools:
    inside = numbers >= candidates.start
    if candidates.stop is not None:
        inside &= numbers < candidates.stop
    if candidates.only is not None:
        named = [row for row in candidates.only if numbers[0] <= row <= numbers[-1]]  # of any size
        inside &= np.isin(numbers, named)
    return inside
