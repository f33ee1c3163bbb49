"""Records -> what is wrong with their tokens: family T, by the same stages as `prepare`."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch
from sftcli.conversation import Conversation
from sftcli.crosscheck import Engines
from sftcli.encode import encode_runs
from sftcli.errors import RecordError
from sftcli.fit import Again
from sftcli.job import Job
from sftcli.layout.aim import begins_with_answer
from sftcli.parse import in_the_data
from sftcli.read import LineBlock
from sftcli.rendered import Outline, Rendered
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
        unknown = job.tokenizer.layout.model.unk_token or job.tokenizer.specials["unk"]
        if job.tokenizer.layout.is_byte_level:
            unknown = None  # whatever a model's config names so, all bytes are known
        self._unknown = job.tokenizer.reference.token_to_id(unknown) if unknown else None
        # Other values leave terminators out because they were asked to.
        self._every_end = job.config.train_on_eos in ("turn", "all")

    def judge(self, good: Sequence[Good], block: LineBlock, first: int, tally: Tally) -> None:
        """Add to the tally what is wrong with the rows of a block that begins at line `first`."""
        rows: list[Rendered] = []
        lines: list[int] = []
        conversations: list[Conversation] = []
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
            conversations.append(conversation)
        if rows:
            self._engines.offer(rows)
            builder, engine = self._engines.builder, self._engines.engine()
            runs = builder.build(rows, range(len(rows)))
            batch = encode_runs(runs, engine)
            left_out = self._left_out(batch, Again(builder, engine, conversations.__getitem__))
            for code, broken, messages in (*left_out, *self.broken(batch, rows, runs)):
                for row_index in np.flatnonzero(broken).tolist():
                    tally.add(code, messages[row_index], lines[row_index], 1)

    def _left_out(self, batch: TokenBatch, again: Again) -> Iterator[tuple[str, Bools, "_Messages"]]:
        """The rules that rows break which `prepare` leaves out, even when it shortens what is too long."""
        done = self._job.fitter.shorten(batch, again)
        limits, lengths = self._job.fitter.limits, batch.lengths
        said = "{:,} tokens, and the most is " + f"{limits.max_length or 0:,}"
        yield "T001", done.reasons["too_long"], _Messages(said, lengths)
        untrained = done.batch.trained_counts == 0
        yield "T002", untrained, _Messages("none of its {:,} tokens is trained", done.batch.lengths)
        said = "{:,} of its tokens are trained, and the fewest are " + f"{limits.min_trained:,}"
        yield "T009", done.reasons["few_trained_tokens"], _Messages(said, done.batch.trained_counts)

    def broken(
        self, batch: TokenBatch, rows: Sequence[Rendered], runs: Runs
    ) -> Iterator[tuple[str, Bools, "_Messages"]]:
        """For each rule on tokens its code, which rows break it (bool[R]), and what to say of each."""
        marks = self._marks.of_raw(batch, rows, runs.control_text, np.zeros(len(batch), np.bool_))
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
            # The same token may be the template's own, as an eos or for padding.
            in_data = batch.of_pieces(_is_data)
            count = sums((batch.ids == self._unknown) & in_data, batch.offsets)
            yield "T007", count > 0, _Messages("{} of its tokens are the unknown token", count)
        if self._vocab_size is not None:
            count = sums(batch.ids >= self._vocab_size, batch.offsets)
            said = "{} of its ids are not below " + f"{self._vocab_size:,}, the model's vocabulary"
            yield "T008", count > 0, _Messages(said, count)
        if self._job.config.layout == "seq2seq":
            said = "its answer is where it begins: there is nothing to read before it"
            yield "T010", begins_with_answer(batch), _Messages(said)

    def _double_bos(self, batch: TokenBatch) -> Bools:
        """bool[R]: rows whose first two tokens are BOS."""
        starts = batch.offsets[:-1]
        found = np.zeros(len(batch), np.bool_)
        long = batch.lengths > 1
        if self._bos is not None:
            at = starts[long]
            found[long] = (batch.ids[at] == self._bos) & (batch.ids[at + 1] == self._bos)
        return found


def _is_data(outline: Outline) -> Bools:
    return np.array([piece.content for piece in outline.pieces], np.bool_)


class _Messages:
    """A message for each row, made only for those that are told."""

    def __init__(self, form: str, values: npt.NDArray[np.integer] | None = None) -> None:
        self._form, self._values = form, values

    def __getitem__(self, row: int) -> str:
        return self._form if self._values is None else self._form.format(int(self._values[row]))
