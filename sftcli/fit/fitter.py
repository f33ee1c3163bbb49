"""Fitter: what becomes of the rows that are too long, and of those that teach too little."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch
from sftcli.conversation import Conversation
from sftcli.errors import ConfigError, RecordError
from sftcli.fit.again import Again
from sftcli.fit.cut import Cutter
from sftcli.fit.search import Made
from sftcli.fit.shorten import Shortener, Side
from sftcli.rendered import Rendered
from sftcli.templates import PromptTemplate

Truncation = Literal["drop", "error", "right", "left", "turns", "prompt"]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Limits:
    """The most tokens of a row (None: any number), its fewest trained ones, and what is done about others."""

    max_length: int | None
    min_trained: int
    truncation: Truncation
    side: Side


@dataclass(frozen=True, slots=True)
class Shortened:
    """R rows, the too long ones shortened where that was possible.

    left_out: int64[R], the tokens by which each is shorter than it was. rendered: what rows that were
    made again were made of, by row. reasons: for each reason to drop rows, those it is the first for,
    as bool[R]. ends_early: bool[R], the rows of which the end was cut off.
    """

    batch: TokenBatch
    left_out: Ints
    rendered: Mapping[int, Rendered]
    reasons: Mapping[str, Bools]
    ends_early: Bools

    @property
    def too_long(self) -> Bools:
        """bool[R]: the rows that are too long, or were."""
        return self.reasons["too_long"] | (self.left_out > 0)


@dataclass(frozen=True, slots=True)
class Fitted:
    """The rows that are written.

    `dropped`: for each reason the lines of the rows that are not. `refused`: lines of bad records, and
    what is wrong. `cut`: how many of the rows written were shortened, and the tokens this left out.
    """

    batch: TokenBatch
    dropped: Mapping[str, Ints]
    refused: Mapping[int, RecordError]
    cut: tuple[int, int]


class Fitter:
    """Makes rows fit, in one way for all rows that one job makes.

    `layout` is the template that `render` lays out, None where records bring their own. `everything`:
    all text is trained. `bos`: the id that a row may begin with. Raises ConfigError where the records
    have nothing that could be shortened in the way that is asked for.
    """

    def __init__(
        self,
        limits: Limits,
        record_format: str,
        layout: object,
        render: Callable[[Conversation], Rendered],
        *,
        everything: bool,
        bos: int | None,
    ) -> None:
        _check(limits.truncation, record_format, layout)
        self.limits = limits
        length = limits.max_length or 0
        self._cutter = Cutter(length, record_format, everything, bos)
        self._shortener = Shortener(length, render, layout)

    @property
    def needs_lines(self) -> bool:
        """Whether a record may be refused, or laid out again, for which its line must still be there."""
        return self.limits.truncation in ("error", "turns", "prompt")

    def fit(self, batch: TokenBatch, again: Again) -> Fitted:
        """The rows that are written of a batch that is just encoded."""
        done = self.shorten(batch, again)
        bad = (
            done.reasons["too_long"] if self.limits.truncation == "error" else np.zeros(len(batch), np.bool_)
        )
        dropped = {
            reason: batch.line[rows & ~bad] for reason, rows in done.reasons.items() if (rows & ~bad).any()
        }
        refused = {
            int(batch.line[row]): self._refusal(int(batch.lengths[row]))
            for row in np.flatnonzero(bad).tolist()
        }
        kept = ~np.logical_or.reduce(list(done.reasons.values()))
        left_out = done.left_out[kept]
        return Fitted(
            done.batch.select(kept), dropped, refused, (int(np.count_nonzero(left_out)), int(left_out.sum()))
        )

    def shorten(self, batch: TokenBatch, again: Again) -> Shortened:
        """All rows of a batch that is just encoded, and which of them are not written."""
        most = self.limits.max_length
        rendered: dict[int, Rendered] = {}
        left_out = np.zeros(len(batch), np.int64)
        if most is not None and self.limits.truncation not in ("drop", "error"):
            whole = batch.lengths
            batch, rendered = self._shortened(batch, again, np.flatnonzero(whole > most).tolist())
            left_out = whole - batch.lengths
        trained = batch.trained_counts
        too_long = batch.lengths > most if most is not None else np.zeros(len(batch), np.bool_)
        none = (trained == 0) & ~too_long
        few = (trained < self.limits.min_trained) & ~too_long & ~none
        reasons = {"too_long": too_long, "no_trained_tokens": none, "few_trained_tokens": few}
        ends_early = (left_out > 0) & (self.limits.truncation == "right")
        return Shortened(batch, left_out, rendered, reasons, ends_early)

    def _shortened(
        self, batch: TokenBatch, again: Again, rows: list[int]
    ) -> tuple[TokenBatch, dict[int, Rendered]]:
        """The batch with these rows shortened, and what those made again were made of."""
        parts: list[TokenBatch] = []
        made = self._made_again(batch, rows, again)
        done = 0
        for index in rows:
            row = batch.part(index, index + 1)
            if self.limits.truncation == "right":
                shorter = self._cutter.right(row)
            elif self.limits.truncation == "left":
                shorter = self._cutter.left(row)
            elif index in made:
                shorter = made[index].batch
            else:
                continue
            parts += [batch.part(done, index), replace(shorter, carried=row.carried)]
            done = index + 1
        rendered = {index: of.rendered for index, of in made.items()}
        return (TokenBatch.joined([*parts, batch.part(done, len(batch))]) if parts else batch), rendered

    def _made_again(self, batch: TokenBatch, rows: list[int], again: Again) -> dict[int, Made]:
        if self.limits.truncation == "turns":
            return self._shortener.turns(batch, rows, again)
        if self.limits.truncation == "prompt":
            return self._shortener.prompt(batch, rows, again, self.limits.side)
        return {}

    def _refusal(self, tokens: int) -> RecordError:
        return RecordError(
            "too_long",
            f"the row has {tokens:,} tokens, and the most is {self.limits.max_length:,} (--max-length); "
            "shorten the record, or let --truncation say what becomes of such rows",
        )


def _check(truncation: Truncation, record_format: str, layout: object) -> None:
    """Raise ConfigError for a way to shorten rows that these records have nothing for."""
    if truncation in ("turns", "prompt") and layout is None:
        raise ConfigError(
            f"--truncation {truncation}: {record_format} records bring their own layout, in which no "
            "prompt and no turns can be told; take right or left"
        )
    if truncation == "turns" and isinstance(layout, PromptTemplate):
        raise ConfigError(
            f"--truncation turns: template {layout.name!r} lays out one prompt and one answer, so that there "
            "are no older turns to leave out; take prompt"
        )
