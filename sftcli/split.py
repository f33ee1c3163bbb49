"""process_split: one split in, one shard out."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sftcli import failpoints
from sftcli.arrange.asked import validation_asked
from sftcli.arrange.sides import Given, by_side
from sftcli.batch import Rows, TokenBatch
from sftcli.config import Config
from sftcli.encode import encode_runs
from sftcli.errors import RecordError
from sftcli.fit import Again
from sftcli.job import Job
from sftcli.layout import aim, size_written, written_layout
from sftcli.layout.pad import Padding
from sftcli.pack import LeftOut, packed
from sftcli.parse import decode_lines, in_the_data, make_reject
from sftcli.plan import Split
from sftcli.progress import Progress, Step
from sftcli.read import LineBlock, is_blank
from sftcli.rendered import Rendered
from sftcli.report import SplitReport
from sftcli.rows import carried_of, to_rows
from sftcli.run import Run
from sftcli.runs import Runs
from sftcli.threads import InOrder, bulk_work
from sftcli.write import Write, open_shard

Kept = Callable[[npt.NDArray[np.bool_]], None]  # told of a block's rows, in order, whether each is kept

# Parsed and rendered before they can be encoded, as while the engine is loading; or encoded before
# they can be written. Bounds the memory: a block of 1 MiB takes some 8 MB on its way. A block of one
# huge record counts for as many as it has of their bytes, or of their tokens.
_BLOCKS_AHEAD = 48
_BYTES, _TOKENS = 20, 18  # powers of two: what an ordinary block holds
_DEADLY = RecordError("kills_process", "two processes that read this record were killed", column=1)


@dataclass(frozen=True)
class Budget:
    """How far a split is read: to `records` records, or to `fatal` bad ones (None: any number).

    `kept` bad records are kept whole for the report (None: all of them). `deadly` are lines, counted from
    the split's first one from 0, that are not read: they ended the process that did.
    """

    records: int | None = None
    fatal: int | None = None
    kept: int | None = None
    deadly: frozenset[int] = frozenset()

    def is_spent(self, report: SplitReport) -> bool:
        bad = report.rejected.total()
        return (self.fatal is not None and bad >= self.fatal) or report.records == self.records


@dataclass(frozen=True)
class Processed:
    """What became of a split: its counts, those of the rows of each shard, and of all before packing."""

    report: SplitReport
    shards: Mapping[str, SplitReport]
    given: Given


@dataclass(frozen=True)
class Watch:
    """Blocks are done one after another, and `at` is told before each one which lines it holds.

    Lines are counted from the split's first one, from 0. `only` (first, last): these alone are done, each
    as a block of its own.
    """

    at: Callable[[int, int], None]
    only: tuple[int, int] | None = None

    def blocks(self, blocks: Iterable[LineBlock]) -> Iterator[LineBlock]:
        for block in self._parts(blocks):
            self.at(block.line_in_split, block.line_in_split + len(block.lines) - 1)
            yield block

    def _parts(self, blocks: Iterable[LineBlock]) -> Iterator[LineBlock]:
        for block in blocks:
            if self.only is None:
                yield block
                continue
            first, last = (line - block.line_in_split for line in self.only)
            if first < 0 and last < 0:
                return
            for index in range(max(first, 0), min(last + 1, len(block.lines))):
                yield block.part(index, index + 1)


def process_split(
    split: Split,
    run: Run,
    shards: Mapping[str, Path],
    budget: Budget,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Processed:
    """Read, parse, render, encode, fit and write one split; the result depends on nothing else.

    `shards` are those to write, one for each side.
    """
    report, parts, given = SplitReport(), {side: SplitReport() for side in shards}, Given()
    with ExitStack() as stack:
        writes = {
            side: stack.enter_context(open_rows(path, run, parts[side], split.file))
            for side, path in shards.items()
        }
        write = by_side(writes, validation_asked(run.job.config), given)
        make_rows(split, run, report, write, budget, progress, watch=watch)
    for part in parts.values():
        report.add(part)
    return Processed(report, parts, given)


@contextmanager
def open_rows(shard: Path, run: Run, report: SplitReport, file: str) -> Iterator[Write]:
    """Rows given to what this yields are packed if they are to be, counted in `report`, and written.

    `file` is where they come from.
    """
    config, layout = run.job.config, written_layout(run.job)
    with (
        open_shard(shard, layout, config.format, config.codec) as write,
        packing(write, config, report, file, layout.padding) as pack,
    ):
        yield pack


def read_split(
    split: Split,
    run: Run,
    write: Write,
    budget: Budget,
    progress: Progress | None = None,
    kept: Kept | None = None,
) -> SplitReport:
    """Make the rows of one split, packed if they are to be, and hand them to `write` in order.

    `kept` hears of every row that was rendered, in the thread that encodes.
    """
    report = SplitReport()
    with packing(write, run.job.config, report, split.file) as pack:
        make_rows(split, run, report, pack, budget, progress, kept)
    return report


@contextmanager
def packing(
    write: Write, config: Config, report: SplitReport, file: str, padding: Padding | None = None
) -> Iterator[Write]:
    """Rows given to what this yields are packed if they are to be, counted, and handed to `write`.

    `file` is where they come from, and `padding` how `write` fills them up.
    """

    def counted(rows: Rows) -> None:
        report.count_rows(rows, *size_written(rows, config.layout), padding)
        write(rows)

    if config.packing == "none" or config.max_length is None:
        yield _counting(report, counted)
        return
    report.packed_length, left_out = config.max_length, LeftOut()
    with packed(config.packing, config.max_length, counted, left_out) as pack:
        yield _counting(report, pack)
    report.count_left_out(left_out, file)


def _counting(report: SplitReport, write: Write) -> Write:
    """Counts rows before they are packed, and hands them on."""

    def given(rows: Rows) -> None:
        report.given_rows += len(rows)
        write(rows)

    return given


def make_rows(
    split: Split,
    run: Run,
    report: SplitReport,
    write: Write,
    budget: Budget,
    progress: Progress | None = None,
    kept: Kept | None = None,
    watch: Watch | None = None,
) -> None:
    """Make a row of each record of one split and hand them to `write`, batch by batch and in order.

    `report` is told all but what `write` makes of the rows. Three lines of work go on side by side,
    block after block: reading to rendering here, encoding in a second thread, writing in a third. The
    last two are work outside Python for the most part.
    """
    done = _Encoded(write)

    def put(rows: Rows) -> None:
        writing.put(done.write, rows, weight=max(1, len(rows.ids) >> _TOKENS))

    bad, ahead = 0, _BLOCKS_AHEAD if watch is None else 0
    blocks = run.blocks(split) if watch is None else watch.blocks(run.blocks(split))
    with bulk_work() as collect, InOrder(ahead) as writing, InOrder(ahead) as encoding:
        for whole in blocks:
            block = whole if budget.records is None else _head(whole, budget.records - report.records)
            rows, lines = render_block(block, run, report, budget)
            judged = (run.rules is not None and run.rules.judges_rows) or run.job.fitter.needs_lines
            if rows and (judged or not (report.rejected and budget.fatal is not None)):
                run.engines.offer(rows)
                runs = run.engines.builder.build(rows, lines)
                runs = replace(runs, carried=carried_of(rows, lines, block, run.job))
                encode = partial(_encode_block, runs, run=run, report=report, bad_kept=budget.kept)
                if judged:
                    # At once: which rows are bad decides how far the split is read.
                    refuse = partial(refuse_rows, rows, runs, block, run, report, budget.kept)
                    encode(block, write=put, kept=kept, refuse=refuse)
                else:
                    # Only the block's place goes along: its lines are done with.
                    task = partial(encode, write=put, kept=kept)
                    encoding.put(task, block.head(0), weight=max(1, block.width >> _BYTES))
            if progress is not None:
                progress(Step(block.width, done.taken(), report.rejected.total() - bad))
                bad = report.rejected.total()
            if budget.is_spent(report):
                break
            collect()
    report.rejects.sort(key=lambda reject: reject.line)  # rows are judged after the records of their block


class _Encoded:
    """Counts the tokens that go through it."""

    def __init__(self, write: Write) -> None:
        self._write, self._tokens, self._taken = write, 0, 0

    def write(self, rows: Rows) -> None:
        self._tokens += len(rows.ids)
        self._write(rows)

    def taken(self) -> int:
        """How many there were since this was last asked."""
        count = self._tokens - self._taken
        self._taken += count
        return count


def render_block(
    block: LineBlock, run: Run, report: SplitReport, budget: Budget
) -> tuple[list[Rendered], list[int]]:
    """Parse and render a block's lines: the rows, and for each its line's index in the block."""
    rows: list[Rendered] = []
    indices: list[int] = []
    deadly = {line - block.line_in_split for line in budget.deadly}
    read = _without(block, deadly) if deadly else block
    if failpoints.active():
        for line in read.lines:
            failpoints.reach("record", line.decode(errors="replace"))
    refused = run.rules.of_records(read, report) if run.rules is not None else {}
    for index, record in enumerate(decode_lines(read.lines, run.job.reads, read.whole)):
        if index in deadly:
            _reject(_DEADLY, block, index, report, budget.kept)
            continue
        if record is None:
            report.blank += 1
            continue
        try:
            if not isinstance(record, dict):
                raise record
            if index in refused:
                raise refused[index]
            row = render_record(record, run.job)
        except RecordError as error:
            _reject(error, block, index, report, budget.kept)
            continue
        rows.append(row)
        indices.append(index)
        if row.notes:
            report.notes.update(row.notes)
    report.lines += len(block.lines)
    report.input_bytes += block.width
    return rows, indices


def _without(block: LineBlock, deadly: Collection[int]) -> LineBlock:
    """The block with nothing to read in some of its lines."""
    lines = [b"" if index in deadly else line for index, line in enumerate(block.lines)]
    return replace(block, lines=lines, whole=None)


def render_record(record: dict[str, Any], job: Job) -> Rendered:
    """One record parsed and rendered. Raises RecordError with a path in the record's own names."""
    conversation = job.parse(record)
    try:
        row = job.render(conversation)
    except RecordError as problem:
        raise in_the_data(problem, record, conversation, job.record_format, job.config.field) from None
    if job.adds:
        job.add_to(row, record, conversation)
    return row


def refuse_rows(
    rows: Sequence[Rendered],
    runs: Runs,
    block: LineBlock,
    run: Run,
    report: SplitReport,
    kept: int | None,
    batch: TokenBatch,
) -> TokenBatch:
    """The block's rows without those that a selected rule refuses, which are counted as bad records."""
    if run.rules is None or not run.rules.judges_rows:
        return batch
    refused = run.rules.of_rows(batch, rows, runs, block, report)
    for index, error in sorted(refused.items()):
        _reject(error, block, index, report, kept)
    return batch.select(~np.isin(batch.line, list(refused))) if refused else batch


def fit_rows(
    batch: TokenBatch, block: LineBlock, run: Run, report: SplitReport, kept: int | None
) -> TokenBatch:
    """The rows of a block's batch that are written, as long as they may be; the others are counted.

    The block's lines need not be there, unless the job's fitter needs them.
    """
    again = Again(run.engines.builder, run.engines.engine(), lambda index: run.job.parsed(block.lines[index]))
    fitted = run.job.fitter.fit(batch, again)
    for index, error in fitted.refused.items():
        _reject(error, block, index, report, kept)
    for reason, indices in fitted.dropped.items():
        report.count_dropped(reason, block, indices)
    report.count_cut(run.job.fitter.limits.truncation, *fitted.cut)
    return fitted.batch


def _reject(error: RecordError, block: LineBlock, index: int, report: SplitReport, kept: int | None) -> None:
    raw, line = block.lines[index], block.first_line + index
    report.count_rejected(make_reject(error, raw, block.file, line, block.byte_of(index)), kept)


def _encode_block(
    runs: Runs,
    block: LineBlock,
    *,
    run: Run,
    report: SplitReport,
    bad_kept: int | None,
    write: Write,
    kept: Kept | None,
    refuse: Callable[[TokenBatch], TokenBatch] | None = None,
) -> None:
    """Encode and fit a block, count its rows, and hand them on to be written.

    It may run beside `render_block`, and then counts other things than that does.
    """
    batch = encode_runs(runs, run.engines.engine())
    batch = fit_rows(refuse(batch) if refuse else batch, block, run, report, bad_kept)
    batch, aimless, notes = aim(batch, run.job.config)
    report.control_text_rows += runs.control_text_rows
    for reason, indices in aimless.items():
        report.count_dropped(reason, block, indices)
    for note, rows in notes.items():  # other ones than rendering has
        report.notes[note] += rows
    if kept is not None:
        kept(np.isin(np.array(runs.lines), batch.line, assume_unique=True))
    if len(batch):
        report.count_examples(batch, block)
        write(to_rows(batch, run.job))


def _head(block: LineBlock, records: int) -> LineBlock:
    """The block up to its `records`-th line that is not blank."""
    for index, raw in enumerate(block.lines):
        if not is_blank(raw):
            records -= 1
        if records < 0:
            return block.head(index)
    return block
