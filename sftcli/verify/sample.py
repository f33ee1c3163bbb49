"""--deep N: the rows of some records made again, and looked for in the folder."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sftcli.encode import encode_runs
from sftcli.errors import DataError
from sftcli.findings.finding import Finding
from sftcli.prepared import Facts
from sftcli.read import LineBlock
from sftcli.report import LEFT_OUT, SplitReport
from sftcli.run import Run
from sftcli.sources import Sources
from sftcli.split import fit_rows, refuse_rows, render_block
from sftcli.verify.again import cannot, config_of, versions
from sftcli.view.aligned import Lists
from sftcli.view.marks import sums
from sftcli.view.shards import Shard

_AGAIN = "prepare the folder again"


@dataclass(slots=True)
class Made:
    """A row made again, where its record stands, and what of it was found in the folder.

    `record`: the number of its line among all lines, from 0. `rows`: the numbers of the rows that are
    like it, in order.
    """

    file: str
    line: int
    record: int
    ids: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int32]
    found_ids: bool = False
    rows: list[int] = field(default_factory=list)


def check_sample(folder: Path, facts: Facts, count: int, seed: int) -> tuple[int, list[Finding]]:
    """Make the rows of `count` lines again, drawn by chance, and look for them in the shards.

    Returns how many rows were made, and what is wrong with them.
    """
    try:
        sources = Sources(config_of(folder, facts))
        made, report = _make(sources, facts, count, seed)
    except DataError as problem:
        return 0, [cannot(folder, facts, problem)]
    first_row = 0
    for shard in facts.shards:
        first_row += _look(Shard(folder / shard.file), made, first_row)
    found = list(_left_out(report, facts))
    # Of records that may be left out, it hangs on all others which they are.
    left_out = any(facts.counts.dropped.get(reason) for reason in LEFT_OUT)
    for row in made:
        if not row.rows and (row.found_ids or not left_out):
            what = "has other labels" if row.found_ids else "is not there"
            message = f"the row of this record, made again, {what} in {folder}{versions(facts)}; {_AGAIN}"
            found.append(Finding("V023", message, row.file, row.line))
    if _is_in_order(facts):
        found += _elsewhere(folder, facts, made)
    return len(made), found


def _is_in_order(facts: Facts) -> bool:
    """Whether a record has one row of its own, and they stand in the order of the input's lines."""
    config = facts.config
    moved = any(config.get(key) for key in ("sources", "shuffle", "val_size"))
    return not moved and config.get("layout") != "steps" and facts.counts.standing == facts.counts.rows


def _elsewhere(folder: Path, facts: Facts, made: Sequence[Made]) -> Iterator[Finding]:
    """Rows that stand where their records' order does not put them.

    Before a row stand as many as there are lines before its own, but for those without a row.
    """
    without = facts.counts.lines - facts.counts.rows
    before = -1
    for row in made:
        there = [number for number in row.rows if row.record - without <= number <= row.record]
        after = next((number for number in there if number > before), None)
        if after is not None:
            before = after
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
    lines = [source.lines for source in facts.sources] or [total]  # as many as were read of each
    before = 0
    for source, most in zip(sources.all, lines, strict=False):
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
        rows, indices = render_block(line, run, report, 0)
        if not rows:
            continue
        run.engines.offer(rows)
        runs = run.engines.builder.build(rows, indices)
        batch = encode_runs(runs, run.engines.engine())
        batch = refuse_rows(rows, runs, line, run, report, 0, batch)
        batch = fit_rows(batch, line, run, report, 0)
        if len(batch):
            yield Made(line.file, line.first_line, before + index, batch.ids, batch.labels())


def _look(shard: Shard, made: Sequence[Made], first_row: int) -> int:
    """Note the rows that the shard holds: those whose sums agree are compared token by token.

    `first_row` is the number of the shard's first row; returns how many it has.
    """
    wanted: dict[int, list[Made]] = {}
    for row in made:
        key = _keys(Lists(row.ids, np.array([0, len(row.ids)])))
        wanted.setdefault(int(key[0]), []).append(row)
    keys = np.array(list(wanted), np.uint64)
    for unit in range(len(shard.bounds) - 1):
        ids, labels = _unpadded(shard, unit)
        own = _keys(ids)
        for index in np.flatnonzero(np.isin(own, keys)).tolist():
            for row in wanted[int(own[index])]:
                if row.ids.tolist() == ids.row(index):
                    row.found_ids = True
                    if row.labels.tolist() == labels.row(index):
                        row.rows.append(first_row + int(shard.bounds[unit]) + index)
    return int(shard.bounds[-1])


def _unpadded(shard: Shard, unit: int) -> tuple[Lists, Lists]:
    """The ids and labels of a unit, a row for each record: without padding, and taken apart where packed."""
    extra = [name for name in ("seq_lengths",) if name in shard.columns]
    columns = shard.read(unit, ["input_ids", "labels", "attention_mask", *extra])
    ids, labels, mask = (columns[name] for name in ("input_ids", "labels", "attention_mask"))
    real = mask.values != 0
    lengths = columns["seq_lengths"].values if extra else sums(real, mask.offsets)
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    return Lists(ids.values[real], offsets), Lists(labels.values[real], offsets)


def _keys(ids: Lists) -> npt.NDArray[np.uint64]:
    """uint64[R]: a number for each row that hangs on its tokens and their order."""
    values = ids.values.astype(np.uint64)
    starts = ids.offsets[:-1].astype(np.uint64)
    places: npt.NDArray[np.uint64] = np.arange(len(values)).astype(np.uint64)
    plain = _wrapped_sums(values, ids.offsets)
    by_place = _wrapped_sums(values * places, ids.offsets) - starts * plain
    found: npt.NDArray[np.uint64] = by_place * np.uint64(0x9E3779B97F4A7C15) + plain
    return found


def _wrapped_sums(values: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """uint64[R]: the sum of each row, modulo 2^64."""
    running = np.concatenate((np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)))
    found: npt.NDArray[np.uint64] = running[offsets[1:]] - running[offsets[:-1]]
    return found
