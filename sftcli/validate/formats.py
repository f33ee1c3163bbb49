"""File -> what its records are judged by: each file has a format of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sftcli.config import Config
from sftcli.errors import RecordError
from sftcli.parse import detect_format, records_in
from sftcli.read import LineBlock, is_blank
from sftcli.validate.judge import Judge
from sftcli.validate.one_split import Judges, Unknown
from sftcli.validate.overlap import OtherSet
from sftcli.validate.tally import Limits

# They take longer to load than a small file to judge.
if TYPE_CHECKING:
    from sftcli.crosscheck import Engines
    from sftcli.job import Job
    from sftcli.tokenizer import Tokenizer

_SAMPLE_LINES = 100


@dataclass
class JudgeMaker:
    """Makes the judges of a file from its first records, one for each format.

    `tokenizer` and `engines` are there where rows are judged too.
    """

    config: Config
    limits: Limits
    tokenizer: "Tokenizer | None"
    engines: "Engines | None"
    vocab_size: int | None
    other: OtherSet | None
    _made: dict[str | None, Judges] = field(default_factory=dict, init=False)

    def settle(self, block: LineBlock) -> tuple[Judges, Unknown | None] | None:
        """The judges for a file's records, and what is wrong if no format fits.

        None where no line of the block is a record that shows it.
        """
        sample = self._sample(block)
        if not sample and self.config.record_format == "auto":
            return None
        try:
            return self._judges([block.lines[at] for at, _ in sample], [record for _, record in sample]), None
        except RecordError as problem:
            return self.without_format(), Unknown(problem.message, block.line_in_split + sample[0][0])

    def without_format(self) -> Judges:
        """The judges of lines before any shows what their format is."""
        return self._made_for(None, None)

    def _sample(self, block: LineBlock) -> list[tuple[int, dict[str, Any]]]:
        """Records of the first lines, each with its index; where those hold none, of the next ones."""
        lines = [index for index, line in enumerate(block.lines) if not is_blank(line)]
        for start in range(0, len(lines), _SAMPLE_LINES):
            some = lines[start : start + _SAMPLE_LINES]
            found = [(some[at], record) for at, record in records_in(block.lines[index] for index in some)]
            if found:
                return found
        return []

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
            Judge(
                record_format,
                self.config.field,
                self.limits,
                fields,
                control,
                weighted=bool(self.config.loss_weight),
                doubts=True,
            ),
            tokens,
            repeats=any(code in self.limits.on for code in ("D001", "D002", "D003")),
            other=self.other,
        )


@dataclass
class FileJudges:
    """The judges of one file, block by block: `known` once a record has shown its format.

    `unknown` is why no format fits that record, where none does.
    """

    maker: JudgeMaker
    known: Judges | None = None
    unknown: Unknown | None = None

    def of(self, block: LineBlock) -> Judges:
        """What the next block is judged by."""
        if self.known is None and (settled := self.maker.settle(block)) is not None:
            self.known, self.unknown = settled
        return self.known or self.maker.without_format()
