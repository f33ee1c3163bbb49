"""How far a split is read, and who looks on."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sftcli.read import LineBlock
from sftcli.report import SplitReport


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
