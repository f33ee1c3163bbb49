"""Columns as they were written -> tokens, each with its own label, whatever the layout."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sftcli.batch import IGNORE
from sftcli.layout import Layout
from sftcli.view.marks import Bools, Ints, sums

Value = TypeVar("Value", bound=np.generic)

# Layouts in which what is answered is a list of its own, and does not lie beside what is read.
APART = ("seq2seq", "steps")


@dataclass(frozen=True, slots=True)
class Lists:
    """A column of R lists: row r is values[offsets[r]:offsets[r + 1]]; offsets: int64[R + 1]."""

    values: npt.NDArray[Any]
    offsets: Ints

    @property
    def lengths(self) -> Ints:
        return np.diff(self.offsets)

    def row(self, index: int) -> list[int]:
        found: list[int] = self.of_row(index).values.tolist()
        return found

    def of_row(self, index: int) -> "Lists":
        """One row, as a column of it alone."""
        first, stop = self.offsets[index : index + 2]
        return Lists(self.values[first:stop], np.array([0, stop - first]))


@dataclass(frozen=True, slots=True)
class Aligned:
    """R rows of T tokens in all, as `inspect` shows them and `stats` counts them.

    labels: int[T], each token's own id where it is trained, else IGNORE. offsets: int64[R + 1]. real:
    bool[T], False for padding; None where there is none. A row of seq2seq or steps is what is read,
    and after it what is answered.
    """

    ids: npt.NDArray[np.integer]
    labels: npt.NDArray[np.integer]
    offsets: Ints
    real: Bools | None = None

    @property
    def trained(self) -> Bools:
        found: Bools = self.labels != IGNORE
        return found

    @property
    def lengths(self) -> Ints:
        """int64[R]: each row's tokens but for padding."""
        return np.diff(self.offsets) if self.real is None else sums(self.real, self.offsets)


def needed(layout: Layout, *, padding: bool) -> list[str]:
    """The columns of which `aligned` makes tokens; with that of the padding, where that is asked for."""
    learnt = "labels" if "labels" in layout.names else "loss_mask"
    return ["input_ids", learnt, *["attention_mask"] * (padding and "attention_mask" in layout.names)]


def aligned(columns: Mapping[str, Lists], layout: Layout) -> Aligned:
    """The tokens of these columns, which are those of `needed`, and equally long where they have to be."""
    read, labels = columns["input_ids"], columns.get("labels")
    if labels is not None and layout.kind in APART:
        ids = _joined(read, labels)
        return Aligned(ids.values, _joined(_filled(read, IGNORE), labels).values, ids.offsets)
    if labels is not None:
        own = in_place(labels, read, layout, IGNORE)
    else:
        learnt = in_place(columns["loss_mask"], read, layout, 0) != 0
        own = np.where(learnt, read.values.astype(np.int64), IGNORE)
    mask = columns.get("attention_mask")
    real = None if mask is None or mask.values.all() else mask.values != 0
    return Aligned(read.values, own, read.offsets, real)


def in_place(answers: Lists, read: Lists, layout: Layout, missing: Any) -> npt.NDArray[Any]:
    """[T]: a column that has a value for each answer, as a value for each token of `aligned`."""
    if layout.kind in APART:
        return _joined(_filled(read, missing, answers.values.dtype), answers).values
    if layout.kind != "shifted":
        return answers.values
    moved = np.empty_like(answers.values)
    moved[1:] = answers.values[:-1]
    moved[answers.offsets[:-1][answers.lengths > 0]] = missing
    return moved


def of_read(values: Lists, answers: Lists, layout: Layout, missing: Any) -> npt.NDArray[Any]:
    """[T]: a column that has a value for each token read, as a value for each token of `aligned`."""
    if layout.kind not in APART:
        return values.values
    return _joined(values, _filled(answers, missing, values.values.dtype)).values


def documents_of(columns: Mapping[str, Lists], lengths: Ints) -> Lists | None:
    """The lengths of the documents in each row of so many tokens; None where rows are not packed."""
    sizes, starts = columns.get("seq_lengths"), columns.get("seq_start_id")
    if sizes is not None or starts is None:
        return sizes
    # Each document reaches to where the next one begins, the last one of a row to its end.
    ends = np.append(starts.values[1:], 0).astype(np.int64)
    filled = starts.lengths > 0
    ends[starts.offsets[1:][filled] - 1] = lengths[filled]
    return Lists(ends - starts.values, starts.offsets)


def _joined(first: Lists, second: Lists) -> Lists:
    """Each row of one column, and after it that of the other."""
    values = np.empty(
        len(first.values) + len(second.values), np.result_type(first.values.dtype, second.values.dtype)
    )
    values[np.arange(len(first.values)) + np.repeat(second.offsets[:-1], first.lengths)] = first.values
    values[np.arange(len(second.values)) + np.repeat(first.offsets[1:], second.lengths)] = second.values
    return Lists(values, first.offsets + second.offsets)


def _filled(like: Lists, value: Any, dtype: Any = np.int32) -> Lists:
    return Lists(np.full(len(like.values), value, dtype), like.offsets)
