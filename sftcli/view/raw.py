"""Rows of raw data, made by the same stages that `prepare` runs."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sftcli.config import Config
from sftcli.encode import Encoder
from sftcli.engine import ReferenceEngine
from sftcli.errors import DataError, RecordError, UsageError
from sftcli.fit import fit
from sftcli.parse import decode_line, make_reject
from sftcli.read import LineBlock
from sftcli.run import Run
from sftcli.split import render_record
from sftcli.view.row import RowView, Source, row_from_batch


class RawRow(NamedTuple):
    """A row, and why `prepare` would drop it (None where it would not)."""

    view: RowView
    dropped: str | None


class RawData:
    """A config's inputs, rendered and encoded record by record."""

    def __init__(self, config: Config) -> None:
        self._run = Run(config, load_engines=False)
        self._encoder = Encoder(self._run.job.tokenizer, ReferenceEngine(self._run.job.tokenizer))

    def rows(self, numbers: Iterable[int]) -> list[RawRow]:
        """The rows that these records (from 0) would become; only the lines up to them are read.

        Raises DataError with its place for a bad record, UsageError for one that is not there.
        """
        wanted = list(numbers)
        found: dict[int, RawRow] = {}
        count = 0
        for number, (block, index) in enumerate(self._records()):
            if number in wanted:
                found[number] = self._row(block, index, number)
            if len(found) == len(set(wanted)):
                return [found[number] for number in wanted]
            count = number + 1
        missing = next(number for number in wanted if number not in found)
        plural = "record is" if count == 1 else "records are"
        raise UsageError(f"--row {missing}: {count:,} {plural} there, counted from 0")

    def _records(self) -> Iterator[tuple[LineBlock, int]]:
        for split in self._run.splits:
            for block in self._run.blocks(split):
                yield from ((block, i) for i, raw in enumerate(block.lines) if raw and not raw.isspace())

    def _row(self, block: LineBlock, index: int, number: int) -> RawRow:
        job, raw, line = self._run.job, block.lines[index], block.first_line + index
        try:
            rendered = render_record(decode_line(raw) or {}, job)
        except RecordError as problem:
            raise DataError(str(make_reject(problem, raw, block.file, line, block.byte_of(index)))) from None
        batch = self._encoder.encode([rendered], [line])
        view = row_from_batch(job.tokenizer, batch, 0, rendered, Source(block.file, line), row=number)
        _, dropped = fit(batch, job.config.max_length)
        return RawRow(view, next(iter(dropped), None))
