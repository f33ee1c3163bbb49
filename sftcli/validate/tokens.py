"""Records -> what is wrong with their tokens: family T, by the same stages as `prepare`."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch
from sftcli.crosscheck import Engines
from sftcli.encode import encode_runs
from sftcli.errors import RecordError
from sftcli.job import Job
from sftcli.parse import in_the_data
from sftcli.read import LineBlock
from sftcli.rendered import Rendered
from sftcli.runs import Runs
from sftcli.validate.judge import Good, refuse
from sftcli.validate.tally import Tally
from sftcli.view.marks import MarkFinder, sums

Bools = npt.NDArray[np.bool_]


class TokenJudge:
    """Judges the rows that `job` makes. `vocab_size`: the rows of the model's embedding, if known."""

    def __init__(self, job: Job, engines: Engines, vocab_size: int | None) -> None:
        self._job, self._engines, self._vocab_size = job, engines, vocab_size
        self._marks = MarkFinder(job.tokenizer)
        ids = {text: token.id for text, token in job.tokenizer.control_tokens.items()}
        self._bos = ids.get(job.tokenizer.bos or job.tokenizer.specials["bos"] or "")
        unknown = job.tokenizer.specials["unk"] or job.tokenizer.layout.model.unk_token
        self._unknown = job.tokenizer.reference.token_to_id(unknown) if unknown else None
        # Other values leave terminators out because they were asked to.
        self._every_end = job.config.train_on_eos in ("turn", "all")

    def judge(self, good: Sequence[Good], block: LineBlock, first: int, tally: Tally) -> None:
        """Add to the tally what is wrong with the rows of a block that begins at line `first`."""
        rows: list[Rendered] = []
        lines: list[int] = []
        for index, record, conversation in good:
            try:
                row = self._job.render(conversation)
            except RecordError as problem:
                names = self._job.config.field
                placed = in_the_data(problem, record, conversation, self._job.record_format, names)
                refuse(placed, block, index, first + index, tally)
                continue
            rows.append(row)
            lines.append(first + index)
        if rows:
            self._engines.offer(rows)
            runs = self._engines.builder.build(rows, lines)
            batch = encode_runs(runs, self._engines.engine())
            for code, broken, messages in self.broken(batch, rows, runs):
                for row_index in np.flatnonzero(broken).tolist():
                    tally.add(code, messages[row_index], lines[row_index], 1)

    def broken(
        self, batch: TokenBatch, rows: Sequence[Rendered], runs: Runs
    ) -> Iterator[tuple[str, Bools, "_Messages"]]:
        """For each rule its code, which rows break it (bool[R]), and what to say of each."""
        most = self._job.config.max_length
        marks = self._marks.of_raw(batch, rows, runs.control_text, most)
        lengths = batch.lengths
        yield (
            "T001",
            marks["truncated"],
            _Messages("{:,} tokens, and the most is " + f"{most or 0:,}", lengths),
        )
        yield "T002", marks["zero-trained"], _Messages("none of its {:,} tokens is trained", lengths)
        if self._every_end:
            # A row in which nothing is trained is told as such.
            unended = marks["no-terminator"] & ~marks["zero-trained"]
            yield "T003", unended, _Messages("an answer is not ended by a token that is trained")
        yield "T004", self._double_bos(batch), _Messages("the row begins with two BOS tokens")
        masked, trained = batch.straddles[:, 0], batch.straddles[:, 1]
        said = "{} of its tokens lie across the border of an answer, and are masked"
        yield "T005", masked > 0, _Messages(said, masked)
        said = "{} of its tokens lie across the border of an answer: they begin with white space before it"
        yield "T006", trained > 0, _Messages(said, trained)
        if self._unknown is not None:
            count = sums(batch.ids == self._unknown, batch.offsets)
            yield "T007", count > 0, _Messages("{} of its tokens are the unknown token", count)
        if self._vocab_size is not None:
            count = sums(batch.ids >= self._vocab_size, batch.offsets)
            said = "{} of its ids are not below " + f"{self._vocab_size:,}, the model's vocabulary"
            yield "T008", count > 0, _Messages(said, count)

    def _double_bos(self, batch: TokenBatch) -> Bools:
        """bool[R]: rows whose first two tokens are BOS."""
        starts = batch.offsets[:-1]
        found = np.zeros(len(batch), np.bool_)
        long = batch.lengths > 1
        if self._bos is not None:
            at = starts[long]
            found[long] = (batch.ids[at] == self._bos) & (batch.ids[at + 1] == self._bos)
        return found


class _Messages:
    """A message for each row, made only for those that are told."""

    def __init__(self, form: str, values: npt.NDArray[np.integer] | None = None) -> None:
        self._form, self._values = form, values

    def __getitem__(self, row: int) -> str:
        return self._form if self._values is None else self._form.format(int(self._values[row]))
