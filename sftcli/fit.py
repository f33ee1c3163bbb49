"""TokenBatch -> TokenBatch: rows that are too long or teach nothing are dropped, with a reason."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch

Dropped = Mapping[str, npt.NDArray[np.int64]]


def fit(batch: TokenBatch, max_length: int | None) -> tuple[TokenBatch, Dropped]:
    """Keep the rows of at most `max_length` tokens (None: any) that have a trained token.

    Returns the rows kept and, for each reason, the input lines of the rows dropped for it. A row
    has one reason, the first that applies.
    """
    too_long = batch.lengths > max_length if max_length is not None else np.zeros(len(batch), np.bool_)
    untrained = (batch.trained_counts == 0) & ~too_long
    reasons = {"too_long": too_long, "no_trained_tokens": untrained}
    dropped = {reason: batch.line[rows] for reason, rows in reasons.items() if rows.any()}
    return batch.select(~(too_long | untrained)), dropped
