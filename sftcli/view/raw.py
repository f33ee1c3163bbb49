"""Rows of raw data, made by the same stages that `prepare` runs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace as replace_fields

from sftcli.blocks import render_record
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
from sftcli.sources import Source as Given
from sftcli.sources import Sources
from sftcli.threads import bulk_work
from sftcli.view.facts import facts_of, weights_of
from sftcli.view.find import id_readings, id_text
from sftcli.view.marks import Bools, Ints, MarkFinder
from sftcli.view.row import RowView, Source, row_from_batch, shown_name
from sftcli.view.select import Bound, Candidates, Chunk, Selection, rank_of


class RawRecord(NamedTuple):
    """A good record: its number among all records, from 0, its place, its line, and which of the
    sources it is of."""

    number: int
    source: Source
    raw: bytes
    of: int = 0


class _Part(NamedTuple):
    """A block of lines of one source with the candidates in it: int64[N] indices of lines, and their
    numbers."""

    of: int
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

    The records of several `sources` are counted through, in the order of the config: each once, however
    often `prepare` repeats it, and however many of them it takes. `encoded` is for selections that ask
    for tokens of many rows. `bad` counts the bad records that were passed over, and `first_bad` says
    what is wrong with the first. `keys_met` are those that a search for ids looks at and some record
    has. `tell` is told of the input bytes done since it was last told.
    """

    noun = "record"

    def __init__(self, config: Config, *, encoded: bool = False) -> None:
        self.config, self._encoded = config, encoded
        self._all = None if not config.sources else Sources(_read_as_they_are(config))
        own = None if self._all else Run(config, load_engines=encoded)
        self.sources = self._all.all if self._all else [Given("", own)] if own else []
        self.runs = [source.run for source in self.sources]
        self.progress = self._all or self.runs[0]  # what a bar is to be told of
        self.jobs = [run.job for run in self.runs]
        self.tokenizer = self.jobs[0].tokenizer
        self._files = list(dict.fromkeys(file for run in self.runs for file in run.files))
        self.files = [file for file in self._files if file != STDIN]
        self.name = shown_name(self._files[0]) if len(self._files) == 1 else f"{len(self._files)} inputs"
        self.seen = self.bad = 0
        self.keys_met: set[str] = set()
        self.first_bad: str | None = None
        self.tell: Callable[[int], None] = lambda done: None
        self._marks = MarkFinder(self.tokenizer)

    @property
    def engine_warning(self) -> str | None:
        """Why the engine that was wanted was not used, if so."""
        return self.runs[0].engines.warning if self._encoded else None

    @property
    def facts(self) -> dict[str, str]:
        """How its rows are made, in a few words each."""
        template, records = (
            " + ".join(dict.fromkeys(getattr(job, name) for job in self.jobs))
            for name in ("template", "record_format")
        )
        how = (self.config.train_on, self.config.train_on_eos)
        return facts_of(self._files, template, records, self.tokenizer.name, *how) | weights_of(self.config)

    @cached_property
    def _makers(self) -> list[RowMaker]:
        return list(map(RowMaker, self.jobs))

    def view(self, item: RawRecord) -> RowView:
        """Raises DataError with its place where no row can be made of the record."""
        return self._makers[item.of].view(item)

    def count(self) -> int:
        """Reads all of the input once. Raises UsageError for one that cannot be read again."""
        for file in self._files:
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
        self.seen = 0
        for of, source in enumerate(self.sources):
            ends = (
                [self.config.limit]
                if source.max_records is None
                else [self.config.limit, self.seen + source.max_records]
            )
            limit = min((end for end in ends if end is not None), default=None)
            yield from self._parts_of(of, limit, candidates)
            if candidates.stop is not None and self.seen >= candidates.stop:
                return

    def _parts_of(self, of: int, limit: int | None, candidates: Candidates) -> Iterator[_Part]:
        """Those of one source, as long as fewer than `limit` records are counted in all."""
        end = candidates.stop if limit is None else min(limit, candidates.stop or limit)
        run, file, line = self.runs[of], "", 0
        for split in run.splits:
            if end is not None and self.seen >= end:
                return
            file, line = split.file, line if split.file == file else 0
            for block in run.blocks(split):
                lines = [i for i, raw in enumerate(block.lines) if not is_blank(raw)]
                indices = np.array(lines[: None if limit is None else limit - self.seen], np.int64)
                numbers = np.arange(self.seen, self.seen + len(indices))
                kept = numbers >= candidates.start
                if candidates.stop is not None:
                    kept &= numbers < candidates.stop
                if candidates.only is not None:
                    kept &= np.isin(numbers, list(candidates.only))
                # Counted here: a block would look for the lines before it all through the file.
                yield _Part(of, block, line + 1, indices[kept], numbers[kept])
                line += len(block.lines)
                self.seen += len(indices)
                if end is not None and self.seen >= end:
                    return

    def _chunk(
        self, part: _Part, allowed: Bools, selection: Selection, candidates: Candidates
    ) -> Chunk[RawRecord]:
        items: list[RawRecord] = []
        rows: list[Rendered] = []
        job, file, first = self.jobs[part.of], part.block.file, part.first_line
        ids = id_readings(selection.ids)
        for index, number in zip(part.indices[allowed].tolist(), part.numbers[allowed].tolist(), strict=True):
            raw = part.block.lines[index]
            try:
                record = decode_line(raw, job.reads) or {}
                if ids and not self._has_id(record, ids):
                    continue
                rendered = render_record(record, job)
            except RecordError as problem:
                self._pass_over(problem, raw, Source(file, first + index), candidates.only is not None)
                continue
            if not selection.text or selection.text.is_in(rendered.text):
                items.append(RawRecord(number, Source(file, first + index), raw, part.of))
                rows.append(rendered)
        rank = np.zeros(len(items), np.int64)
        if rows and selection.needs_tokens:
            kept, rank = self._measured(rows, items, selection)
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
        self, rows: Sequence[Rendered], items: Sequence[RawRecord], selection: Selection
    ) -> tuple[Bools, Ints]:
        """bool[R]: which rows of one source have the marks asked for; int64[R]: what they are ranked by.

        A row that is shortened is judged as it is written.
        """
        job, engines = self.jobs[items[0].of], self.runs[items[0].of].engines
        engines.offer(rows)
        runs = engines.builder.build(rows, range(len(rows)))
        again = Again(engines.builder, engines.engine(), lambda index: job.parsed(items[index].raw))
        done = job.fitter.shorten(encode_runs(runs, engines.engine()), again)
        batch = done.batch
        kept = np.ones(len(rows), np.bool_)
        if selection.marks:
            made = [done.rendered.get(index, row) for index, row in enumerate(rows)]
            found = self._marks.of_raw(batch, made, runs.control_text, done.too_long, done.ends_early)
            for mark in selection.marks:
                kept &= found[mark]
        return kept, rank_of(selection.ranking, batch.lengths, batch.trained_counts)


def _read_as_they_are(config: Config) -> Config:
    """The config without what is done to all rows together once they are made."""
    return replace_fields(config, dedup="none", val_size=None, shuffle=False)


def _said(problem: RecordError, raw: bytes, place: Source) -> str:
    """What is wrong with a record, and where."""
    return str(make_reject(problem, raw, shown_name(place.file), place.line or 0, 0))
