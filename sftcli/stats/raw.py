"""Raw data -> Measured: the stages of `prepare` at its speed, with counts in place of shards."""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from sftcli.budget import Budget
from sftcli.config import Config
from sftcli.conversation import Conversation
from sftcli.job import Job
from sftcli.progress import Progress
from sftcli.rendered import Rendered
from sftcli.report import SplitReport
from sftcli.run import Run
from sftcli.split import read_split
from sftcli.stats.count import RowCounts
from sftcli.stats.measure import Layout, Measured, Reason, Turns

_EMPTY_THINKING = re.compile(r"<think>\s*</think>")


def measure_raw(config: Config, source: str, progress: Callable[[Run], Progress] | None = None) -> Measured:
    """Count the rows that `prepare` would write of the config's inputs; bad records are counted too.

    Raises as Run does for options or inputs that cannot work. `progress` is asked once for whom to
    tell how far the run is.
    """
    run = Run(config)
    tell = progress(run) if progress else None
    watch, rows, total = Watch(), RowCounts(), SplitReport()
    run.job = watch.over(run.job)
    count = partial(rows.add_rows, packed=config.packing != "none")
    for split in run.splits:
        left = None if config.limit is None else config.limit - total.records
        budget = Budget(left, fatal=None, kept=0)
        total.add(read_split(split, run, count, budget, tell, watch.count))
    total.check_sum()
    job, turns = run.job, watch.turns
    unknown = {}
    if not turns.roles:
        why = f"{job.record_format} records hold no messages" if total.rows else "there are no rows"
        unknown = {"turns": why}
    return Measured(
        source=source,
        kind="raw",
        layout=_layout(job),
        tokenizer=job.tokenizer,
        rows=rows,
        records=total.records,
        blank=total.blank,
        dropped={name: Reason(count, total.places[name][0]) for name, count in sorted(total.dropped.items())},
        rejected={
            name: Reason(count, total.first_rejects[name]) for name, count in sorted(total.rejected.items())
        },
        straddles=(int(total.straddles[0]), int(total.straddles[1])),
        control_text_rows=total.control_text_rows,
        notes=dict(sorted(total.notes.items())),
        turns=turns,
        warnings=(run.engines.warning,) if run.engines.warning else (),
        unknown=unknown,
    )


def _layout(job: Job) -> Layout:
    return Layout(
        template=job.template,
        record_format=job.record_format,
        tokenizer=job.tokenizer.name,
        tokenizer_sha256=job.tokenizer.sha256,
        train_on=job.config.train_on,
        train_on_eos=job.config.train_on_eos,
        max_length=job.config.max_length,
    )


class Watch:
    """Counts the conversations of a run as they become rows.

    What is known of one when it is laid out waits until it is known whether its row is kept.
    """

    def __init__(self) -> None:
        self.turns = Turns()
        self._waiting: deque[tuple[tuple[str, ...], bool]] = deque()  # roles, and whether it thinks nothing

    def over(self, job: Job) -> Job:
        """The job, with each conversation that it lays out noted on the way."""

        def render(conversation: Conversation) -> Rendered:
            rendered = job.render(conversation)
            roles = tuple(message.role for message in conversation.messages)
            self._waiting.append((roles, _thinks_nothing(rendered)))
            return rendered

        return replace(job, render=render)

    def count(self, kept: npt.NDArray[np.bool_]) -> None:
        """Count those of the rows waiting longest that are kept: `kept` is bool[R], in their order."""
        for is_kept in kept.tolist():
            roles, thinks_nothing = self._waiting.popleft()
            if is_kept:
                self.turns.per_conversation[len(roles)] += 1
                self.turns.roles.update(roles)
                self.turns.empty_thinking += thinks_nothing


def _thinks_nothing(rendered: Rendered) -> bool:
    """Whether an answer has an empty think block, written by the data or by the template."""
    if "</think>" not in rendered.text:
        return False
    answers = "".join(piece.text for piece in rendered.pieces if piece.role == "assistant")
    return _EMPTY_THINKING.search(answers) is not None
