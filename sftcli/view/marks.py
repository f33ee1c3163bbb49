"""What is to be known of a row: marks, found for a batch of rows at once."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch
from sftcli.rendered import Rendered
from sftcli.tokenizer import Tokenizer

Mark = Literal["zero-trained", "truncated", "no-terminator", "straddle", "control-text"]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def sums(flags: npt.NDArray[np.integer] | Bools, offsets: npt.NDArray[np.integer]) -> Ints:
    """int64[R]: the sum of `flags` over each row; row r is flags[offsets[r]:offsets[r + 1]]."""
    running = np.zeros(len(flags) + 1, np.int64)
    np.cumsum(flags, out=running[1:])
    found: Ints = running[offsets[1:]] - running[offsets[:-1]]
    return found


class MarkFinder:
    """Finds the marks of rows that one tokenizer made."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._control = np.zeros(tokenizer.size, np.bool_)
        self._control[[token.id for token in tokenizer.control_tokens.values()]] = True
        self._white = np.full(tokenizer.size, -1, np.int8)  # -1: not looked at yet

    def of_raw(
        self,
        batch: TokenBatch,
        rows: Sequence[Rendered],
        control_text: Sequence[bool],
        too_long: Bools,
        ends_early: Bools | None = None,
    ) -> Mapping[Mark, Bools]:
        """Each mark as bool[R], for a batch of R rows that were encoded from `rows`.

        too_long: bool[R], the rows over the most tokens, shortened or not. ends_early: bool[R], those
        that were cut off before their end (None: none).
        """
        return {
            "zero-trained": batch.trained_counts == 0,
            "truncated": too_long,
            "no-terminator": self.unended(
                batch.ids, batch.trained, batch.offsets, _ends_in_template(batch, rows, ends_early)
            ),
            "straddle": batch.straddles.sum(axis=1) > 0,
            "control-text": np.array(control_text, np.bool_),
        }

    def unended(
        self,
        ids: npt.NDArray[np.integer],
        trained: Bools,
        offsets: npt.NDArray[np.integer],
        template: Bools | None = None,
    ) -> Bools:
        """bool[R]: rows with a trained stretch of tokens that nothing ends.

        A stretch is ended where its last token ends in template text (`template`, bool[T], not
        known of a shard), or where its last token that is not white space is a control token.
        """
        firsts = np.zeros(len(ids) + 1, np.bool_)
        firsts[offsets[:-1]] = True  # the first token of each row, where a stretch begins anew
        lasts = trained & (firsts[1:] | ~np.append(trained[1:], np.False_))
        begins = trained & (firsts[:-1] | ~np.concatenate(([False], trained[:-1])))
        # For each token where its stretch began, and the last one up to it that is not white space.
        begin = np.maximum.accumulate(np.where(begins, np.arange(len(ids)), -1))
        solid = np.maximum.accumulate(np.where(trained & ~self._is_white(ids), np.arange(len(ids)), -1))
        unended = lasts & ~((solid >= begin) & self._control[ids[solid]])
        if template is not None:
            unended &= ~template
        return sums(unended, offsets) > 0

    def _is_white(self, ids: npt.NDArray[np.integer]) -> Bools:
        """bool[T]: which tokens are nothing but white space."""
        for token_id in np.unique(ids[self._white[ids] < 0]).tolist():
            text = self._tokenizer.token_bytes(token_id).decode(errors="replace")
            self._white[token_id] = text.isspace()
        white: Bools = self._white[ids] > 0
        return white


def _ends_in_template(batch: TokenBatch, rows: Sequence[Rendered], ends_early: Bools | None) -> Bools:
    """bool[T]: which tokens end in template text.

    A batch gives a token to the piece of its first byte; where no token begins in the pieces after
    that, it reaches to the last of them (a template's space before an answer of one token).
    """
    counts = np.array([len(row.pieces) for row in rows], np.int64)
    content = np.array([piece.content for row in rows for piece in row.pieces], np.bool_)
    following = np.append(batch.piece[1:], np.int32(0)).astype(np.int64)
    filled = batch.lengths > 0
    lasts = batch.offsets[1:][filled] - 1
    following[lasts] = counts[filled]
    if ends_early is not None:
        following[lasts[ends_early[filled]]] = 0  # no text follows
    last = np.maximum(batch.piece, following - 1)
    ends: Bools = ~content[np.repeat(np.cumsum(counts) - counts, batch.lengths) + last]
    return ends
