"""Rows of raw data, made by the same stages that `prepare` runs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sftcli.config import Config
from sftcli.encode import encode_runs
from sftcli.engine import ReferenceEngine
from sftcli.errors import DataError, RecordError, UsageError
from sftcli.fit import Again
from sftcli.job import Job
from sftcli.parse import decode_line, make_reject
from sftcli.plan import STDIN
from sftcli.read import LineBlock, is_blank
from sftcli.rendered import Rendered
from sftcli.rows import carried_weights, to_rows
from sftcli.run import Run
from sftcli.runs import RunBuilder
from sftcli.split import render_record
from sftcli.threads import bulk_work
from sftcli.view.facts import facts_of
from sftcli.view.find import id_readings, id_text
from sftcli.view.marks import Bools, Ints, MarkFinder
from sftcli.view.row import RowView, Source, row_from_batch, shown_name
from sftcli.view.select import Bound, Candidates, Chunk, Selection, rank_of


class RawRecord(NamedTuple):
    """A good record: its number among all records, from 0, its place, and its line."""

    number: int
    source: Source
    raw: bytes


class _Part(NamedTuple):
    """A block of lines with the candidates in it: int64[N] indices of lines, and their numbers."""

    block: LineBlock
    first_line: int
    indices: Ints
    numbers: Ints


class RowMaker:
    """Makes the row of one record after another, with all that is known before writing."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._engine = ReferenceEngine(job.tokenizer)
        self._builder = RunBuilder(job.tokenizer, self._engine)
        self._marks = MarkFinder(job.tokenizer)

    def view(self, item: RawRecord) -> RowView:
        """Raises DataError with its place where the job cannot make a row of the record."""
        job, place = self.job, item.source
        record = decode_line(item.raw, job.reads) or {}
        try:
            rendered = render_record(record, job)
        except RecordError as problem:
            raise DataError(_said(problem, item.raw, place)) from None
        runs = self._builder.build([rendered], [0])
        runs = replace(runs, carried=carried_weights([rendered], job))
        again = Again(self._builder, self._engine, lambda _: job.parse(record))
        done = job.fitter.shorten(encode_runs(runs, self._engine), again)
        batch, rendered = done.batch, done.rendered.get(0, rendered)
        marks = self._marks.of_raw(batch, [rendered], runs.control_text, done.too_long, done.ends_early)
        return replace(
            row_from_batch(
                *(job.tokenizer, batch, 0, rendered, place),
                row=item.number,
                weights=to_rows(batch, job).weights,
            ),
            id=id_text(record.get("id")),
            dropped=next((reason for reason, rows in done.reasons.items() if rows[0]), None),
            marks=tuple(mark for mark, rows in marks.items() if rows[0]),
        )


class RawData:
    """A config's inputs as rows: record by record, or searched a block at a time.

    `encoded` is for selections that ask for tokens of many rows. `bad` counts the bad records that
    were passed over, and `first_bad` says what is wrong with the first. `keys_met` are those that a
    search for ids looks at and some record has. `tell` is told of the input bytes done since it
    was last told.
    """

    noun = "record"

    def __init__(self, config: Config, *, encoded: bool = False) -> None:
        self.run = Run(config, load_engines=encoded)
        self.job, self._encoded = self.run.job, encoded
        self.tokenizer = self.job.tokenizer
        self.files = [file for file in self.run.files if file != STDIN]
        self.name = (
            shown_name(self.run.files[0]) if len(self.run.files) == 1 else f"{len(self.run.files)} inputs"
        )
        self.seen = self.bad = 0
        self.keys_met: set[str] = set()
        self.first_bad: str | None = None
        self.tell: Callable[[int], None] = lambda done: None
        self._marks = MarkFinder(self.job.tokenizer)

    @property
    def engine_warning(self) -> str | None:
        """Why the engine that was wanted was not used, if so."""
        return self.run.engines.warning if self._encoded else None

    @property
    def facts(self) -> dict[str, str]:
        """How its rows are made, in a few words each."""
        job, config = self.job, self.job.config
        how = (job.template, job.record_format, job.tokenizer.name, config.train_on, config.train_on_eos)
        return facts_of(self.run.files, *how)

    @cached_property
    def _maker(self) -> RowMaker:
        return RowMaker(self.job)

    def view(self, item: RawRecord) -> RowView:
        """Raises DataError with its place where no row can be made of the record."""
        return self._maker.view(item)

    def count(self) -> int:
        """Reads all of the input once. Raises UsageError for one that cannot be read again."""
        for file in self.run.files:
            if file == STDIN or not Path(file).is_file():
                raise UsageError(
                    f"{shown_name(file)} can be read only once, so rows cannot be counted from its end; "
                    "count them from the start, or save it to a file first"
                )
        return sum(len(part.indices) for part in self._parts(Candidates()))

    def chunks(
        self, selection: Selection, candidates: Candidates, bound: Bound
    ) -> Iterator[Chunk[RawRecord]]:
        """Raises DataError for a bad record that was named; others are counted and passed over."""
        with bulk_work() as collect:
            for part in self._parts(candidates):
                yield self._chunk(part, bound.allows(part.numbers), selection, candidates)
                self.tell(part.block.width)
                collect()

    def _parts(self, candidates: Candidates) -> Iterator[_Part]:
        limit = self.job.config.limit
        end = candidates.stop if limit is None else min(limit, candidates.stop or limit)
        self.seen = line = 0
        file = ""
        for split in self.run.splits:
            file, line = split.file, line if split.file == file else 0
            for block in self.run.blocks(split):
                lines = [i for i, raw in enumerate(block.lines) if not is_blank(raw)]
                indices = np.array(lines[: None if limit is None else limit - self.seen], np.int64)
                numbers = np.arange(self.seen, self.seen + len(indices))
                kept = numbers >= candidates.start
                if candidates.stop is not None:
                    kept &= numbers < candidates.stop
                if candidates.only is not None:
                    kept &= np.isin(numbers, list(candidates.only))
                # Counted here: a block would look for the lines before it all through the file.
                yield _Part(block, line + 1, indices[kept], numbers[kept])
                line += len(block.lines)
                self.seen += len(indices)
                if end is not None and self.seen >= end:
                    return

    def _chunk(
        self, part: _Part, allowed: Bools, selection: Selection, candidates: Candidates
    ) -> Chunk[RawRecord]:
        items: list[RawRecord] = []
        rows: list[Rendered] = []
        file, first = part.block.file, part.first_line
        ids = id_readings(selection.ids)
        for index, number in zip(part.indices[allowed].tolist(), part.numbers[allowed].tolist(), strict=True):
            raw = part.block.lines[index]
            try:
                record = decode_line(raw, self.job.reads) or {}
                if ids and not self._has_id(record, ids):
                    continue
                rendered = render_record(record, self.job)
            except RecordError as problem:
                self._pass_over(problem, raw, Source(file, first + index), candidates.only is not None)
                continue
            if not selection.text or selection.text.is_in(rendered.text):
                items.append(RawRecord(number, Source(file, first + index), raw))
                rows.append(rendered)
        rank = np.zeros(len(items), np.int64)
        if rows and selection.needs_tokens:
            kept, rank = self._measured(rows, [item.raw for item in items], selection)
            items, rank = [items[i] for i in np.flatnonzero(kept)], rank[kept]
        return Chunk(len(part.indices), np.array([item.number for item in items], np.int64), rank, items)

    def _has_id(self, record: dict[str, object], ids: dict[str, set[str]]) -> bool:
        """Whether a record has one of these values, by their keys: its `id`, or what KEY=VALUE asks for."""
        there = [key for key in ids if key in record]
        self.keys_met.update(there)
        return any(id_text(record[key]) in ids[key] for key in there)

    def _pass_over(self, problem: RecordError, raw: bytes, place: Source, named: bool) -> None:
        self.bad += 1
        if named or self.first_bad is None:
            self.first_bad = _said(problem, raw, place)
        if named:
            raise DataError(self.first_bad) from None

    def _measured(
        self, rows: Sequence[Rendered], lines: Sequence[bytes], selection: Selection
    ) -> tuple[Bools, Ints]:
        """bool[R]: which rows have the marks asked for; int64[R]: what they are ranked by.

        A row that is shortened is judged as it is written.
        """
        engines = self.run.engines
        engines.offer(rows)
        runs = engines.builder.build(rows, range(len(rows)))
        again = Again(engines.builder, engines.engine(), lambda index: self.job.parsed(lines[index]))
        done = self.job.fitter.shorten(encode_runs(runs, engines.engine()), again)
        batch = done.batch
        kept = np.ones(len(rows), np.bool_)
        if selection.marks:
            made = [done.rendered.get(index, row) for index, row in enumerate(rows)]
            found = self._marks.of_raw(batch, made, runs.control_text, done.too_long, done.ends_early)
            for mark in selection.marks:
                kept &= found[mark]
        return kept, rank_of(selection.ranking, batch.lengths, batch.trained_counts)


def _said(problem: RecordError, raw: bytes, place: Source) -> str:
    """What is wrong with a record, and where."""
    return str(make_reject(problem, raw, shown_name(place.file), place.line or 0, 0))
