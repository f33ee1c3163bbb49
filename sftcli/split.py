"""process_split: one split in, one shard out."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sftcli.arrange.asked import validation_asked
from sftcli.arrange.sides import Given, by_side
from sftcli.batch import Rows
from sftcli.blocks import Kept, encode_block, refuse_rows, render_block
from sftcli.budget import Budget, Watch
from sftcli.config import Config
from sftcli.layout import size_written, written_layout
from sftcli.layout.pad import Padding
from sftcli.pack import LeftOut, packed
from sftcli.plan import Split
from sftcli.progress import Progress, Step
from sftcli.report import SplitReport
from sftcli.rows import carried_of
from sftcli.run import Run
from sftcli.threads import InOrder, bulk_work
from sftcli.write import Write, open_shard

# Parsed and rendered before they can be encoded, as while the engine is loading; or encoded before
# they can be written. Bounds the memory: a block of 1 MiB takes some 8 MB on its way. A block of one
# huge record counts for as many as it has of their bytes, or of their tokens.
_BLOCKS_AHEAD = 48
_BYTES, _TOKENS = 20, 18  # powers of two: what an ordinary block holds


@dataclass(frozen=True)
class Processed:
    """What became of a split: its counts, those of the rows of each shard, and of all before packing."""

    report: SplitReport
    shards: Mapping[str, SplitReport]
    given: Given


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
    blocks = run.blocks(split) if budget.records != 0 else iter(())
    if watch is not None:
        blocks = watch.blocks(blocks)
    with bulk_work() as collect, InOrder(ahead) as writing, InOrder(ahead) as encoding:
        for whole in blocks:
            block = whole if budget.records is None else whole.up_to(budget.records - report.records)
            rows, lines = render_block(block, run, report, budget)
            judged = (run.rules is not None and run.rules.judges_rows) or run.job.fitter.needs_lines
            if rows and (judged or not (report.rejected and budget.fatal is not None)):
                run.engines.offer(rows)
                runs = run.engines.builder.build(rows, lines)
                runs = replace(runs, carried=carried_of(rows, lines, block, run.job))
                encode = partial(encode_block, runs, run=run, report=report, bad_kept=budget.kept)
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
