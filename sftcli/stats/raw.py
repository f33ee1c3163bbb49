"""Raw data -> Measured: the stages of `prepare` at its speed, with counts in place of shards."""

import re
from collections.abc import Callable
from dataclasses import replace

from sftcli.config import Config
from sftcli.conversation import Conversation
from sftcli.job import Job
from sftcli.rendered import Rendered
from sftcli.report import SplitReport
from sftcli.run import Run
from sftcli.split import Budget, Progress, read_split
from sftcli.stats.count import RowCounts
from sftcli.stats.measure import Measured, Reason, Turns

_EMPTY_THINKING = re.compile(r"<think>\s*</think>")


def measure_raw(config: Config, source: str, progress: Callable[[Run], Progress] | None = None) -> Measured:
    """Count the rows that `prepare` would write of the config's inputs; bad records are counted too.

    Raises as Run does for options or inputs that cannot work. `progress` is asked once for whom to
    tell how far the run is.
    """
    run = Run(config)
    tell = progress(run) if progress else None
    turns, rows, total = Turns(), RowCounts(), SplitReport()
    run.job = watched(run.job, turns)
    for split in run.splits:
        left = None if config.limit is None else config.limit - total.records
        total.add(read_split(split, run, rows.add_batch, Budget(left, fatal=None, kept=0), tell))
    total.check_sum()
    job = run.job
    unknown = {} if turns.roles else {"turns": f"{job.record_format} records hold no messages"}
    return Measured(
        source=source,
        kind="raw",
        layout={
            "template": job.template,
            "record_format": job.record_format,
            "tokenizer": job.tokenizer.name,
        },
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


def watched(job: Job, turns: Turns) -> Job:
    """The job, counting the conversations that it lays out on the way."""

    def render(conversation: Conversation) -> Rendered:
        rendered = job.render(conversation)
        turns.per_conversation[len(conversation.messages)] += 1
        for message in conversation.messages:
            turns.roles[message.role] += 1
        turns.empty_thinking += _thinks_nothing(rendered)
        return rendered

    return replace(job, render=render)


def _thinks_nothing(rendered: Rendered) -> bool:
    """Whether an answer has an empty think block, written by the data or by the template."""
    if "</think>" not in rendered.text:
        return False
    answers = "".join(piece.text for piece in rendered.pieces if piece.role == "assistant")
    return _EMPTY_THINKING.search(answers) is not None
