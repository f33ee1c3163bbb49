"""--deep N: the rows of some records made again, and looked for in the folder."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sftcli.batch import IGNORE, TokenBatch
from sftcli.blocks import fit_rows, refuse_rows, render_block
from sftcli.budget import Budget
from sftcli.config import Config
from sftcli.encode import encode_runs
from sftcli.errors import DataError
from sftcli.findings.finding import Finding
from sftcli.layout import aim
from sftcli.prepared import Facts
from sftcli.read import LineBlock
from sftcli.report import SplitReport
from sftcli.run import Run
from sftcli.sources import Sources
from sftcli.verify.again import cannot, config_of, versions
from sftcli.verify.left_out import left_out, like_others, lines_read
from sftcli.verify.made import Made, keys_of, look_in_stream, unpadded
from sftcli.view.aligned import Lists
from sftcli.view.layouts import layout_in
from sftcli.view.shards import Shard

_AGAIN = "prepare the folder again"


def check_sample(folder: Path, facts: Facts, count: int, seed: int) -> tuple[int, list[Finding]]:
    """Make the rows of `count` lines again, drawn by chance, and look for them in the shards.

    Returns how many rows were made, and what is wrong with them.
    """
    try:
        sources = Sources(config_of(folder, facts))
        made, report = _make(sources, facts, count, seed)
    except DataError as problem:
        return 0, [cannot(folder, facts, problem)]
    first_row, layout = 0, layout_in(folder, facts)
    wrapped = facts.config.get("packing") == "wrapped"
    for facts_of_shard in facts.shards:
        shard = Shard(folder / facts_of_shard.file, layout)
        if wrapped:
            look_in_stream(shard, made)
        else:
            _look(shard, made, first_row)
        first_row += int(shard.bounds[-1])
    found = [*_left_out(report, facts), *_not_there(folder, facts, made, sources)]
    if _is_in_order(facts):
        found += _elsewhere(folder, facts, made)
    return len(made), found


def _not_there(folder: Path, facts: Facts, made: Sequence[Made], sources: Sources) -> Iterator[Finding]:
    """Rows that are in no shard, or with other labels: more of them than there are records left out."""
    others = like_others(sources, facts, [row for row in made if row.found_ids and not row.rows])
    room = left_out(facts)
    # Of records that were joined, one may be cut where it went on in a row that was left out.
    cut = facts.config.get("packing") == "wrapped" and bool(facts.counts.packing.get("untrained_rows"))
    for row in made:
        if row.rows or row.record in others:
            continue
        if not row.found_ids:
            room -= 1
            if cut or room >= 0:
                continue
        what = "has other labels" if row.found_ids else "is not there"
        message = f"the row of this record, made again, {what} in {folder}{versions(facts)}; {_AGAIN}"
        yield Finding("V023", message, row.file, row.line)


def _is_in_order(facts: Facts) -> bool:
    """Whether a record has one row of its own, and they stand in the order of the input's lines."""
    config = facts.config
    moved = any(config.get(key) for key in ("sources", "shuffle", "val_size"))
    moved |= config.get("packing", "none") != "none"
    return not moved and config.get("layout") != "steps" and facts.counts.standing == facts.counts.rows


def _elsewhere(folder: Path, facts: Facts, made: Sequence[Made]) -> Iterator[Finding]:
    """Rows that stand where their records' order does not put them.

    Before a row stand as many as there are lines before its own, but for those without a row. The row that
    a record was left out for stands further before.
    """
    room = left_out(facts)
    without = facts.counts.lines - facts.counts.rows
    before = -1
    for row in made:
        there = [number for number in row.rows if row.record - without <= number <= row.record]
        after = next((number for number in there if number > before), None)
        if after is not None:
            before = after
        elif row.rows and row.rows[0] < row.record and room > 0:
            room -= 1
        elif row.rows:
            message = (
                f"the row of this record is row {row.rows[0]} of {folder}, out of the order of its inputs"
            )
            yield Finding("V023", f"{message}; {_AGAIN}", row.file, row.line)


def _left_out(report: SplitReport, facts: Facts) -> Iterator[Finding]:
    """Records that make no row now, for a reason for which no record was left out then."""
    places = {
        "rejected": {code: place.rpartition(":")[0] for code, place in report.first_rejects.items()},
        "dropped": {reason: first for reason, (first, *_) in report.places.items()},
    }
    for name, firsts in places.items():
        for reason in sorted(firsts.keys() - getattr(facts.counts, name).keys()):
            file, _, line = firsts[reason].rpartition(":")
            message = f"this record is {name} now ({reason}), and none was then{versions(facts)}; {_AGAIN}"
            yield Finding("V023", message, file, int(line))


def _make(sources: Sources, facts: Facts, count: int, seed: int) -> tuple[list[Made], SplitReport]:
    """The rows of lines drawn by chance, in order."""
    total = facts.counts.lines
    chosen = np.array(sorted(random.Random(seed).sample(range(total), min(count, total))))  # noqa: S311
    made: list[Made] = []
    report = SplitReport()
    before = 0
    for source, most in zip(sources.all, lines_read(sources, facts), strict=False):
        inside = chosen[(chosen >= before) & (chosen < before + most)] - before
        made += _of_run(source.run, inside, before, report)
        before += most
    return made, report


def _of_run(run: Run, chosen: npt.NDArray[np.int64], before: int, report: SplitReport) -> Iterator[Made]:
    """The rows of these lines of a run's inputs; `before` are the lines of the runs before it."""
    first = 0
    for block in (block for split in run.splits for block in run.blocks(split)):
        if not len(chosen) or first > chosen[-1]:
            return
        inside = chosen[(chosen >= first) & (chosen < first + len(block.lines))] - first
        yield from _rows(run, block, inside.tolist(), before + first, report)
        first += len(block.lines)


def _rows(
    run: Run, block: LineBlock, inside: Sequence[int], before: int, report: SplitReport
) -> Iterator[Made]:
    """The rows of these lines of a block; `before` are the lines before it."""
    for index in inside:
        # One line at a time, so that the report knows its place.
        line = replace(
            block,
            first_byte=block.byte_of(index),
            lines=[block.lines[index]],
            widths=None,
            line_in_split=block.line_in_split + index,
        )
        rows, indices = render_block(line, run, report, Budget(kept=0))
        if not rows:
            continue
        run.engines.offer(rows)
        runs = run.engines.builder.build(rows, indices)
        batch = encode_runs(runs, run.engines.engine())
        batch = refuse_rows(rows, runs, line, run, report, 0, batch)
        batch = fit_rows(batch, line, run, report, 0)
        batch, aimless, _ = aim(batch, run.job.config)
        for reason, lines in aimless.items():
            report.count_dropped(reason, line, lines)
        if len(batch):
            ids, labels = _as_written(batch, run.job.config)
            if (labels != IGNORE).any():
                yield Made(line.file, line.first_line, before + index, rows[0].text, ids, labels)


def _as_written(batch: TokenBatch, config: Config) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The ids and labels of a batch of one row, as they stand in a folder with this config.

    Of steps it is the last one, which holds the tokens of all others.
    """
    ids, labels = batch.ids, batch.labels()
    if config.packing != "none":
        labels[0] = IGNORE  # what stands before it in its row is of another record
    if config.layout == "steps":
        last = int(np.flatnonzero(batch.trained)[-1])
        labels[:last] = IGNORE
        return ids[: last + 1], labels[: last + 1]
    return ids, labels


def _look(shard: Shard, made: Sequence[Made], first_row: int) -> None:
    """Note the rows that the shard holds: those whose sums agree are compared token by token.

    `first_row` is the number of the shard's first row.
    """
    wanted: dict[int, list[Made]] = {}
    for row in made:
        key = keys_of(Lists(row.ids, np.array([0, len(row.ids)])))
        wanted.setdefault(int(key[0]), []).append(row)
    keys = np.array(list(wanted), np.uint64)
    for unit in range(len(shard.bounds) - 1):
        ids, labels = unpadded(shard, unit)
        own = keys_of(ids)
        for index in np.flatnonzero(np.isin(own, keys)).tolist():
            for row in wanted[int(own[index])]:
                if row.ids.tolist() == ids.row(index):
                    row.found_ids = True
                    if row.labels.tolist() == labels.row(index):
                        row.rows.append(first_row + int(shard.bounds[unit]) + index)
