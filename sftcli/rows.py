"""TokenBatch -> Rows: the loss weight and the message of each token, and what goes along with a record.

A weight is that of the token's role (`loss_weight`), times that of its message where the record gives it
one. Both are looked up through the pieces of the outlines, for all tokens of a batch at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sftcli.arrange.asked import near_threshold
from sftcli.arrange.facts import FACTS_OF, NEAR_OF, facts_of
from sftcli.batch import KEEP, SOURCE, Objects, Rows, TokenBatch, objects
from sftcli.config import Config
from sftcli.job import Job
from sftcli.read import LineBlock
from sftcli.rendered import Outline, Rendered

Floats = npt.NDArray[np.float32]
Turns = npt.NDArray[np.int32]

_WEIGHTS = "weights"  # the weights of a record's messages, which are in no column of their own


def carried_of(
    rows: Sequence[Rendered], lines: Sequence[int], block: LineBlock, job: Job
) -> dict[str, Objects]:
    """What goes along with R rows of a block, as R values by name: where they come from, and what they keep.

    `lines` are the indices of their lines in the block.
    """
    carried = carried_weights(rows, job)
    if rows and rows[0].prints:
        carried[FACTS_OF] = facts_of(rows, lines, block.line_in_split)
    if rows and rows[0].said is not None:
        carried[NEAR_OF] = near_of(rows, job.config)
    if SOURCE in job.config.columns:
        file, first = block.file, block.first_line
        carried[SOURCE] = objects([f"{file}:{first + line}" for line in lines])
    for number, name in enumerate(job.keep):
        carried[KEEP + name] = objects([row.kept[number] for row in rows])
    return carried


def near_of(rows: Sequence[Rendered], config: Config) -> Objects:
    """A Sketch of each row; the rows know what they say, and the config asks for it."""
    from sftcli.arrange.near import bands_for, sketches

    least = near_threshold(config)
    if least is None:
        return objects([])
    return objects(sketches([row.said for row in rows if row.said is not None], bands_for(least)))


def carried_weights(rows: Sequence[Rendered], job: Job) -> dict[str, Objects]:
    """What `weights_of` needs to go along with R rows; nothing where the run has no weights."""
    return {_WEIGHTS: objects([row.weights for row in rows])} if job.config.loss_weight else {}


def to_rows(batch: TokenBatch, job: Job) -> Rows:
    """The rows of a batch, with the weights and turns of their tokens where the run writes them."""
    roles = job.config.loss_weight
    if FACTS_OF in batch.carried:
        facts: npt.NDArray[Any] = batch.carried[FACTS_OF]
        facts["straddles"] = batch.straddles
    turns = turns_of(batch) if "turn_ids" in job.config.columns else None
    if not roles:
        return Rows.of(batch, turns=turns)
    rows = Rows.of(batch, weights=weights_of(batch, roles), turns=turns)
    return replace(rows, carried={name: held for name, held in batch.carried.items() if name != _WEIGHTS})


def turns_of(batch: TokenBatch) -> Turns:
    """int32[T]: the message that each token is of, counted as in the record, -1 where it is of none."""
    return batch.of_pieces(
        lambda outline: np.array([max(piece.turn, -1) for piece in outline.pieces], np.int32)
    )


def weights_of(batch: TokenBatch, roles: Mapping[str, float]) -> Floats:
    """float32[T]: the loss weight of each token, 0 where it is not trained; `roles` not named have 1."""

    def of_roles(outline: Outline) -> npt.NDArray[np.float64]:
        return np.array([roles.get(piece.role, 1.0) for piece in outline.pieces], np.float64)

    weights = batch.of_pieces(of_roles) * _own_weights(batch)
    return np.where(batch.trained, weights, 0).astype(np.float32)


def _own_weights(batch: TokenBatch) -> npt.NDArray[np.float64]:
    """float64[T], or [1] where all are 1: the weight that the record gives to the message of each token."""
    given: Objects | None = batch.carried.get(_WEIGHTS)
    if given is None or not any(given):
        return np.ones(1)
    counts = np.array([len(own) for own in given], np.int64)
    table = np.concatenate([np.ones(1), *(np.array(own) for own in given if own)])  # [0]: of no message
    firsts = np.repeat(np.cumsum(counts) - counts + 1, batch.lengths)
    turns = turns_of(batch)
    has_own = (turns >= 0) & np.repeat(counts > 0, batch.lengths)
    found: npt.NDArray[np.float64] = table[np.where(has_own, firsts + turns, 0)]
    return found
