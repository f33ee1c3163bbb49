"""TokenBatch -> TokenBatch: what of the trained tokens can be an answer in the layout that is asked for.

It comes before rows are counted, so that counts are those of what is written.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch, as_offsets
from sftcli.config import Config
from sftcli.profiles import PROFILES

Dropped = Mapping[str, npt.NDArray[np.int64]]
Notes = Mapping[str, int]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

NOTHING_BEFORE = "nothing_before_answer"
NOTHING_TO_READ = "nothing_to_read"
EARLIER_ANSWERS = "seq2seq_earlier_answers"


def aim(batch: TokenBatch, config: Config) -> tuple[TokenBatch, Dropped, Notes]:
    """Rows whose trained tokens all have a place in the layout: most need something before them.

    Returns the rows kept, for each reason the input lines of the rows dropped for it, and how many
    rows there are of each note.
    """
    needs_context = (
        config.layout in ("shifted", "steps")
        if config.profile is None
        else PROFILES[config.profile].needs_context
    )
    if len(batch) and config.layout == "seq2seq":
        return last_answer(batch)
    if len(batch) and needs_context:
        return nothing_before(batch)
    return batch, {}, {}


def nothing_before(batch: TokenBatch) -> tuple[TokenBatch, Dropped, Notes]:
    """Rows whose first token is untrained, since nothing stands before it to predict it from."""
    firsts = batch.offsets[:-1][batch.lengths > 0]
    concerned = int(batch.trained[firsts].sum())
    if not concerned:
        return batch, {}, {}
    trained = batch.trained.copy()
    trained[firsts] = False
    batch = _retrained(batch, trained)
    return *_without(batch, "no_trained_tokens", batch.trained_counts == 0), {NOTHING_BEFORE: concerned}


def last_answer(batch: TokenBatch) -> tuple[TokenBatch, Dropped, Notes]:
    """Rows up to the end of their last trained stretch, of which alone something is learnt.

    A row that begins with it has no prompt.
    """
    stretches, first = _stretches(batch)
    places = np.flatnonzero(batch.trained)
    last = places[np.searchsorted(places, batch.offsets[1:]) - 1]
    earlier = np.searchsorted(stretches, first) > np.searchsorted(stretches, batch.offsets[:-1])

    at = np.arange(len(batch.ids))
    batch = _retrained(batch, batch.trained & (at >= np.repeat(first, batch.lengths)))
    kept = at <= np.repeat(last, batch.lengths)
    moved = np.cumsum(kept) - 1
    across = batch.across[kept[batch.across[:, 0]]]
    cut = replace(
        batch,
        ids=batch.ids[kept],
        offsets=as_offsets(last - batch.offsets[:-1] + 1),
        trained=batch.trained[kept],
        piece=batch.piece[kept],
        across=np.stack((moved[across[:, 0]], across[:, 1]), axis=1),
        straddling=moved[batch.straddling[kept[batch.straddling]]],
    )
    no_prompt = first == batch.offsets[:-1]
    lost = int((earlier & ~no_prompt).sum())
    return *_without(cut, NOTHING_TO_READ, no_prompt), {EARLIER_ANSWERS: lost} if lost else {}


def begins_with_answer(batch: TokenBatch) -> Bools:
    """bool[R]: rows that `last_answer` drops; rows in which nothing is trained are none of them."""
    found = np.zeros(len(batch), np.bool_)
    answered = batch.trained_counts > 0
    if answered.any():
        batch = batch.select(answered)
        found[answered] = _stretches(batch)[1] == batch.offsets[:-1]
    return found


def _stretches(batch: TokenBatch) -> tuple[Ints, Ints]:
    """The first tokens of all trained stretches, and of each row's last one; each row has one."""
    begins = batch.trained.copy()
    begins[1:] &= ~batch.trained[:-1]
    begins[batch.offsets[:-1]] = batch.trained[batch.offsets[:-1]]
    stretches = np.flatnonzero(begins)
    return stretches, stretches[np.searchsorted(stretches, batch.offsets[1:]) - 1]


def _retrained(batch: TokenBatch, trained: Bools) -> TokenBatch:
    """The rows with fewer trained tokens; one that is no answer any more lies across no border of one."""
    no_more = batch.trained & ~trained
    return replace(batch, trained=trained, straddling=batch.straddling[~no_more[batch.straddling]])


def _without(batch: TokenBatch, reason: str, rows: Bools) -> tuple[TokenBatch, Dropped]:
    return batch.select(~rows), {reason: batch.line[rows]} if rows.any() else {}
