"""Records that need not be in a folder: which of them are there hangs on the others."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from sftcli.blocks import render_block
from sftcli.budget import Budget
from sftcli.prepared import Facts
from sftcli.report import LEFT_OUT, MIX_WEIGHT, SplitReport
from sftcli.sources import Sources
from sftcli.verify.made import Made


def left_out(facts: Facts) -> int:
    """How many records were left out because of others."""
    return sum(facts.counts.dropped.get(reason, 0) for reason in LEFT_OUT)


def like_others(sources: Sources, facts: Facts, rows: Sequence[Made]) -> set[int]:
    """The records of `rows` that may be left out for one with the same text, by the numbers of their lines.

    Of records that repeat one another the first one stays, and a mix takes any of them. All lines are read
    and laid out again, up to the last of these.
    """
    if not rows or not left_out(facts):
        return set()
    any_other = MIX_WEIGHT in facts.counts.dropped
    records: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        records[row.text].append(row.record)
    last = facts.counts.lines if any_other else max(row.record for row in rows)
    found: set[int] = set()
    for number, text in _texts(sources, lines_read(sources, facts), last):
        for record in records.get(text, ()):
            if number < record or (any_other and number != record):
                found.add(record)
    return found


def lines_read(sources: Sources, facts: Facts) -> list[int]:
    """How many lines were read of each source: its first ones."""
    return [source.lines for source in facts.sources] or [facts.counts.lines] * len(sources.all)


def _texts(sources: Sources, lines: Sequence[int], stop: int) -> Iterator[tuple[int, str]]:
    """The number and the text of each record before line `stop`, as it is laid out."""
    before = 0
    for source, most in zip(sources.all, lines, strict=False):
        first, end = before, min(before + most, stop)
        for block in (block for split in source.run.splits for block in source.run.blocks(split)):
            if first >= end:
                break
            rows, indices = render_block(block.head(end - first), source.run, SplitReport(), Budget(kept=0))
            yield from ((first + index, row.text) for row, index in zip(rows, indices, strict=True))
            first += len(block.lines)
        before += most
