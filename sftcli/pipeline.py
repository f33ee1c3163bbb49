"""The whole run on one page: plan, then read, parse, render, encode, fit and write each split."""

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from sftcli.config import Config
from sftcli.crosscheck import Engines
from sftcli.encode import encode_runs
from sftcli.errors import BadRecordsError, ConfigError, DataError, RecordError
from sftcli.fit import fit
from sftcli.job import Job, make_job
from sftcli.manifest import input_facts, make_manifest
from sftcli.output import (
    append_rejects,
    check_output,
    commit,
    dataset_card,
    shard_name,
    staged,
    staged_files,
    write_arrow_state,
    write_side_files,
)
from sftcli.parse import decode_line, make_reject
from sftcli.plan import STDIN, Split, plan_splits
from sftcli.read import LineBlock, read_blocks
from sftcli.render import Rendered
from sftcli.report import RunReport, SplitReport
from sftcli.runs import Runs
from sftcli.threads import InOrder, quiet_gc
from sftcli.write import Write, open_shard

Progress = Callable[[int], None]  # told of the input bytes done since it was last told
_SAMPLE_LINES = 100
_BLOCKS_AHEAD = 16  # parsed and rendered while the engine is still loading; bounds the memory


class Run:
    """One config with its inputs planned, its job made and its engines loading."""

    def __init__(self, config: Config) -> None:
        self.splits = plan_splits(config.inputs)
        self.files = list(dict.fromkeys(split.file for split in self.splits))
        self.input_bytes = sum(Path(file).stat().st_size for file in self.files if file != STDIN)
        self._opened = read_blocks(self.splits[0])
        self._first = next(self._opened, None)
        self.job = make_job(config, self._first.lines[:_SAMPLE_LINES] if self._first else [])

    @cached_property
    def engines(self) -> Engines:
        """Asked for once by `prepare`, which needs them all; a single row does without."""
        return Engines(self.job.tokenizer, self.job.config.encoder, self.input_bytes)

    def blocks(self, split: Split) -> Iterator[LineBlock]:
        """The split's lines; those that were read for the sample are not read again."""
        if split.index == 0 and self._first is not None:
            first, self._first = self._first, None
            return itertools.chain([first], self._opened)
        return read_blocks(split)


def prepare(
    config: Config,
    *,
    overwrite: bool = False,
    max_errors: int = 20,
    progress: Callable[[Run], Progress] | None = None,
) -> RunReport:
    """Make a dataset folder from the config's inputs, or raise and leave what was there as it was.

    Raises BadRecordsError where `on_error` is fail and records are bad, with the first
    `max_errors` of them. `progress` is asked once for whom to tell how far the run is.
    """
    started = time.perf_counter()
    if config.output is None:
        raise ConfigError("no output folder: name one with -o")
    out = Path(config.output)
    check_output(out, overwrite, config.inputs)
    run = Run(config)
    tell = progress(run) if progress else None
    total = SplitReport()
    shards: list[dict[str, Any]] = []
    with staged(out) as staging, ThreadPoolExecutor(1) as hasher:
        inputs = hasher.submit(lambda: [input_facts(file) for file in run.files])
        for split in run.splits:
            name = shard_name(split.index, len(run.splits), config.format)
            report = process_split(split, run, staging / name, max_errors, _left(config, total), tell)
            if config.on_error == "quarantine" and report.rejects:
                append_rejects(staging / "rejects.jsonl", report.rejects)
            shards.append(report.shard_facts(name, split.file))
            total.add(report)
            if _stops(total, config, max_errors):
                break
        _check(total, config, max_errors)
        write_side_files(staging, run.job.tokenizer.saved_files(), dataset_card(total.rows, run.job))
        if config.format == "arrow":
            write_arrow_state(staging, [shard["file"] for shard in shards])
        files = staged_files(staging)
        commit(staging, out, make_manifest(run.job, run.engines.name, inputs.result(), shards, total, files))
    return _run_report(run, total, len(shards), files, time.perf_counter() - started)


def process_split(
    split: Split, run: Run, shard: Path, max_errors: int, limit: int | None, progress: Progress | None
) -> SplitReport:
    """One split in, one shard out. `limit`: at most so many records (None: all).

    Three lines of work go on side by side, block after block: reading to rendering here, encoding
    in a second thread, writing in a third. The last two are work outside Python for the most part.
    """
    report = SplitReport()
    config = run.job.config
    with (
        quiet_gc() as collect,
        open_shard(shard, config.format, config.codec) as write,
        InOrder(_BLOCKS_AHEAD) as writing,
        InOrder(_BLOCKS_AHEAD) as encoding,
    ):
        for block in run.blocks(split):
            if limit is not None:
                block = _head(block, limit - report.records)
            rows, lines = render_block(block, run.job, report, max_errors)
            if rows and not (report.rejected and config.on_error == "fail"):
                run.engines.offer(rows)
                runs = run.engines.builder.build(rows, lines)
                encoding.put(_encode_block, runs, block, run, report, partial(writing.put, write))
            if progress is not None:
                progress(block.width)
            if _stops(report, config, max_errors) or report.records == limit:
                break
            collect()
    return report


def render_block(
    block: LineBlock, job: Job, report: SplitReport, max_errors: int
) -> tuple[list[Rendered], list[int]]:
    """Parse and render a block's lines: the rows, and for each its line's index in the block."""
    rows: list[Rendered] = []
    indices: list[int] = []
    for index, raw in enumerate(block.lines):
        try:
            record = decode_line(raw)
            if record is None:
                report.blank += 1
                continue
            row = job.render(job.parse(record))
        except RecordError as error:
            place = block.first_line + index
            keep = None if job.config.on_error == "quarantine" else max_errors
            report.count_rejected(make_reject(error, raw, block.file, place, block.byte_of(index)), keep)
            continue
        rows.append(row)
        indices.append(index)
        if row.notes:
            report.notes.update(row.notes)
    report.lines += len(block.lines)
    report.input_bytes += block.width
    return rows, indices


def _encode_block(
    runs: Runs, block: LineBlock, run: Run, report: SplitReport, write: Write
) -> None:
    """Encode and fit a block, count its rows, and hand them on to be written."""
    batch, dropped = fit(encode_runs(runs, run.engines.engine()), run.job.config.max_length)
    report.control_text_rows += runs.control_text_rows
    for reason, indices in dropped.items():
        report.count_dropped(reason, block.file, indices + block.first_line)
    if len(batch):
        report.count_rows(batch, block)
        write(batch)


def _left(config: Config, total: SplitReport) -> int | None:
    return None if config.limit is None else config.limit - total.records


def _stops(report: SplitReport, config: Config, max_errors: int) -> bool:
    """Whether the run is lost and enough of its errors are known."""
    return config.on_error == "fail" and report.rejected.total() >= max_errors


def _check(total: SplitReport, config: Config, max_errors: int) -> None:
    """Raise where nothing may be written: bad records under on_error fail, or no rows at all."""
    if config.on_error == "fail" and total.rejected:
        raise BadRecordsError(
            total.rejects, total.rejected.total(), partial=_stops(total, config, max_errors)
        )
    total.check_sum()
    if not total.rows:
        why = ", ".join(f"{count} {reason}" for reason, count in (total.dropped + total.rejected).items())
        raise DataError(f"no row to write: {total.lines} lines read" + (f" ({why})" if why else ""))


def _head(block: LineBlock, records: int) -> LineBlock:
    """The block up to its `records`-th line that is not blank."""
    for index, raw in enumerate(block.lines):
        if raw and not raw.isspace():
            records -= 1
        if records < 0:
            widths = block.widths[:index] if block.widths is not None else None
            return replace(block, lines=block.lines[:index], widths=widths)
    return block


def _run_report(
    run: Run, total: SplitReport, shards: int, files: dict[str, dict[str, Any]], seconds: float
) -> RunReport:
    config, tokenizer = run.job.config, run.job.tokenizer
    return RunReport(
        counts=total,
        output=config.output or "",
        format=config.format,
        template=run.job.template,
        record_format=run.job.record_format,
        tokenizer=tokenizer.name,
        tokenizer_size=tokenizer.size,
        added_tokens=tokenizer.added,
        engine=run.engines.name,
        warnings=(run.engines.warning,) if run.engines.warning else (),
        shards=shards,
        bytes_written=sum(facts["bytes"] for facts in files.values()),
        seconds=seconds,
    )
