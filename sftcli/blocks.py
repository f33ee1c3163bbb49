"""Block of lines -> its rows: parsed and rendered, encoded, and cut or left out where they are too long.

A block is what a split is read in, some thousand lines. What follows from them is counted in its report.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sftcli import failpoints
from sftcli.batch import TokenBatch
from sftcli.budget import Budget
from sftcli.encode import encode_runs
from sftcli.errors import RecordError
from sftcli.fit import Again
from sftcli.job import Job
from sftcli.layout import aim
from sftcli.parse import decode_lines, in_the_data, make_reject
from sftcli.read import LineBlock
from sftcli.rendered import Rendered
from sftcli.report import SplitReport
from sftcli.rows import to_rows
from sftcli.run import Run
from sftcli.runs import Runs
from sftcli.write import Write

Kept = Callable[[npt.NDArray[np.bool_]], None]  # told of a block's rows, in order, whether each is kept
_DEADLY = RecordError("kills_process", "two processes that read this record were killed", column=1)


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


def encode_block(
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
