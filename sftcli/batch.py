"""TokenBatch: the rows of one batch as flat arrays; ids and mask are sliced and joined together."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IGNORE = -100  # the label of an untrained token: ignored by cross entropy in every framework


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """R rows with T tokens in all.

    ids: int32[T]. offsets: int64[R + 1], row r is ids[offsets[r]:offsets[r + 1]].
    trained: bool[T]. piece: int32[T], the index of the token's piece in its Rendered row.
    line: int64[R], the input line each row came from. straddles: int32[R, 2], the tokens that lie
    across a mask boundary, those masked and those trained.
    """

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    trained: npt.NDArray[np.bool_]
    piece: npt.NDArray[np.int32]
    line: npt.NDArray[np.int64]
    straddles: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """int64[R]: tokens in each row."""
        return np.diff(self.offsets)

    @property
    def trained_counts(self) -> npt.NDArray[np.int64]:
        """int64[R]: trained tokens in each row."""
        # reduceat takes one element for an empty row, and needs one to be there.
        flags = np.append(self.trained, np.False_)
        return np.add.reduceat(flags, self.offsets[:-1], dtype=np.int64) * (self.lengths > 0)

    def labels(self) -> npt.NDArray[np.int32]:
        """int32[T]: the id where a token is trained, else IGNORE; not shifted."""
        return np.where(self.trained, self.ids, np.int32(IGNORE))

    def select(self, rows: npt.NDArray[np.bool_]) -> "TokenBatch":
        """The rows where `rows` (bool[R]) is true, in order."""
        if rows.all():
            return self
        lengths = self.lengths
        tokens = np.repeat(rows, lengths)
        return TokenBatch(
            ids=self.ids[tokens],
            offsets=np.concatenate(([0], np.cumsum(lengths[rows]))),
            trained=self.trained[tokens],
            piece=self.piece[tokens],
            line=self.line[rows],
            straddles=self.straddles[rows],
        )
