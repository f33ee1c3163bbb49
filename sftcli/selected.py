"""Lines and rows -> what the selected rules find in them, beside the stages of `prepare`."""

import sys
from collections.abc import Collection, Sequence

from sftcli.batch import TokenBatch
from sftcli.crosscheck import Engines
from sftcli.errors import RecordError
from sftcli.job import Job
from sftcli.read import LineBlock
from sftcli.rendered import Rendered
from sftcli.report import SplitReport
from sftcli.rules.catalogue import RULES
from sftcli.runs import Runs
from sftcli.templates import PromptTemplate
from sftcli.validate.judge import Judge
from sftcli.validate.tally import Limits, Tally
from sftcli.validate.tokens import TokenJudge


class SelectedRules:
    """The rules of the codes `on`: their warnings are counted, their errors make bad records."""

    def __init__(self, on: frozenset[str], job: Job, engines: Engines) -> None:
        serious = frozenset(code for code in on if RULES[code].severity == "error")
        self._limits = Limits(on, serious, keep=sys.maxsize, stop=None)
        fields: tuple[Sequence[str], Sequence[str]] = ((), ())
        if isinstance(job.layout, PromptTemplate):
            fields = (job.layout.required, job.layout.optional)
        control = list(job.tokenizer.control_tokens)
        weighted = bool(job.config.loss_weight)
        self._records = Judge(
            job.record_format, job.config.field, self._limits, fields, control, weighted=weighted
        )
        # Without the size of the model's vocabulary, as in `validate`.
        self._rows = TokenJudge(job, engines, None)
        self.judges_rows = any(code.startswith("T") for code in on)

    def of_records(self, block: LineBlock, report: SplitReport) -> dict[int, RecordError]:
        """Count the warnings of a block's records; the errors, by the index of the line."""
        tally = _Tally(self._limits, report.warned)
        self._records.judge(block, tally, want_good=False)
        return _counted(tally, block, report)

    def of_rows(
        self, batch: TokenBatch, rows: Sequence[Rendered], runs: Runs, block: LineBlock, report: SplitReport
    ) -> dict[int, RecordError]:
        """The same for the rows that were made of them."""
        tally = _Tally(self._limits, report.warned)
        lines = batch.line.tolist()
        for code, broken, messages in self._rows.broken(batch, rows, runs):
            for row in broken.nonzero()[0].tolist():
                tally.add(code, messages[row], lines[row], 1)
        return _counted(tally, block, report)


class _Tally(Tally):
    """Of one block. The places of errors are found, and those of warnings not yet `known`."""

    def __init__(self, limits: Limits, known: Collection[str]) -> None:
        super().__init__(limits)
        self._known = known

    def keeps(self, code: str) -> bool:
        return code in self.limits.serious or (
            code in self.limits.on and code not in self._known and code not in self.counts
        )


def _counted(tally: Tally, block: LineBlock, report: SplitReport) -> dict[int, RecordError]:
    bad: dict[int, RecordError] = {}
    for code, message, index, column in tally.found:
        if code in tally.limits.serious:
            # A record has one reason, the first that is found.
            bad.setdefault(index, RecordError(RULES[code].name, message, column=column))
        else:
            if code not in report.first_warned:
                report.first_warned[code] = f"{block.file}:{block.first_line + index}:{column}"
            report.warned[code] += 1
    return bad
