"""File -> what its records are judged by: each file has a format of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from sftcli.config import Config
from sftcli.errors import RecordError
from sftcli.parse import decode_lines, detect_format
from sftcli.read import LineBlock
from sftcli.validate.judge import Judge
from sftcli.validate.one_split import Judges
from sftcli.validate.overlap import OtherSet
from sftcli.validate.tally import Limits

# They take longer to load than a small file to judge.
if TYPE_CHECKING:
    from sftcli.crosscheck import Engines
    from sftcli.job import Job
    from sftcli.tokenizer import Tokenizer

_SAMPLE_LINES = 100


@dataclass(frozen=True)
class Unknown:
    """Why no format fits, and the line (from 0) of the record that shows it."""

    message: str
    line: int


@dataclass
class JudgeMaker:
    """Makes the judges of a file from its first lines, one for each format.

    `tokenizer` and `engines` are there where rows are judged too.
    """

    config: Config
    limits: Limits
    tokenizer: "Tokenizer | None"
    engines: "Engines | None"
    vocab_size: int | None
    other: OtherSet | None
    _made: dict[str | None, Judges] = field(default_factory=dict, init=False)

    def make(self, blocks: Iterator[LineBlock]) -> tuple[Judges, Iterator[LineBlock], Unknown | None]:
        """The judges for a file's records, all its blocks again, and what is wrong if none fits."""
        read: list[LineBlock] = []
        sample: list[tuple[int, bytes]] = []
        for block in blocks:
            read.append(block)
            sample = [
                (block.line_in_split + index, line)
                for index, line in enumerate(block.lines)
                if line and not line.isspace()
            ][:_SAMPLE_LINES]
            if sample:
                break
        decoded = decode_lines([line for _, line in sample])
        good = [
            (line, raw, record)
            for (line, raw), record in zip(sample, decoded, strict=True)
            if isinstance(record, dict)
        ]
        unknown = None
        try:
            judges = self._judges([raw for _, raw, _ in good], [record for _, _, record in good])
        except RecordError as problem:
            unknown = Unknown(problem.message, good[0][0]) if good else None
            judges = self._made_for(None, None)
        return judges, chain(read, blocks), unknown

    def _judges(self, lines: Sequence[bytes], records: Sequence[dict[str, Any]]) -> Judges:
        record_format: str = self.config.record_format
        if self.tokenizer is None:
            if record_format == "auto":
                record_format = detect_format(records, self.config.field)
            return self._made_for(record_format, None)
        from sftcli.job import make_job

        job = make_job(self.config, self.tokenizer, lines)
        return self._made_for(job.record_format, job)

    def _made_for(self, record_format: str | None, job: "Job | None") -> Judges:
        known = self._made.get(record_format)
        if known is None:
            known = self._made[record_format] = self._anew(record_format, job)
        return known

    def _anew(self, record_format: str | None, job: "Job | None") -> Judges:
        fields: tuple[Sequence[str], Sequence[str]] = ((), ())
        control: Sequence[str] = ()
        tokens = None
        if self.tokenizer is not None:
            control = list(self.tokenizer.control_tokens)
        if job is not None and self.engines is not None:
            from sftcli.templates import PromptTemplate
            from sftcli.validate.tokens import TokenJudge

            tokens = TokenJudge(job, self.engines, self.vocab_size)
            if isinstance(job.layout, PromptTemplate):
                fields = (job.layout.required, job.layout.optional)
        return Judges(
            Judge(record_format, self.config.field, self.limits, fields, control),
            tokens,
            repeats=any(code in self.limits.on for code in ("D001", "D002", "D003")),
            other=self.other,
        )
