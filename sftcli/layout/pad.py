"""Padding: rows made longer by place, never by id, so that a pad token equal to eos costs no label."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sftcli.batch import as_offsets
from sftcli.layout.laid import Ints, Laid, stretches

Value = TypeVar("Value", bound=np.generic)

_TOKENS_AT_A_TIME = 1 << 22  # padded ones: short rows may become any number of them


@dataclass(frozen=True)
class Padding:
    """The token that fills rows up, and to what: to `length` tokens, or to a multiple of `multiple`.

    `side` is left or right.
    """

    token: int
    side: str = "right"
    length: int | None = None
    multiple: int = 1

    def lengths(self, lengths: Ints) -> Ints:
        """int64[R]: how long rows of these lengths become."""
        if self.length is not None:
            return np.maximum(lengths, self.length)
        return -(-lengths // self.multiple) * self.multiple


def padded(laid: Laid, padding: Padding) -> Iterator[Laid]:
    """The rows filled up: padding is read nowhere, is answered nowhere, and belongs to no message.

    For layouts that have an answer in each place that is read.
    """
    rows = laid.read
    lengths = padding.lengths(rows.lengths)
    for first, stop in stretches(lengths, _TOKENS_AT_A_TIME):
        yield _padded(laid, padding, lengths[first:stop], first, stop)


def _padded(laid: Laid, padding: Padding, lengths: Ints, first: int, stop: int) -> Laid:
    rows = laid.read
    begin, end = int(rows.offsets[first]), int(rows.offsets[stop])
    offsets = as_offsets(lengths)
    own = rows.lengths[first:stop]
    before = lengths - own if padding.side == "left" else np.zeros_like(own)
    place = np.arange(begin, end) + np.repeat(offsets[:-1] + before - rows.offsets[first:stop], own)

    def fill(values: npt.NDArray[Value], pad: Any) -> npt.NDArray[Value]:
        filled = np.full(int(offsets[-1]), pad, values.dtype)
        filled[place] = values[begin:end]
        return filled

    d_first, d_stop = int(rows.document_offsets[first]), int(rows.document_offsets[stop])
    read = replace(
        rows,
        ids=fill(rows.ids, padding.token),
        trained=fill(rows.trained, False),
        offsets=offsets,
        documents=rows.documents[d_first:d_stop],
        document_offsets=rows.document_offsets[first : stop + 1] - d_first,
        turns=None if rows.turns is None else fill(rows.turns, -1),
        carried={name: values[d_first:d_stop] for name, values in rows.carried.items()},
    )
    return Laid(
        read,
        fill(laid.answers, padding.token),
        fill(laid.learnt, False),
        offsets,
        None if laid.weights is None else fill(laid.weights, 0),
        real=fill(np.ones(len(rows.ids), np.bool_), False),
    )
