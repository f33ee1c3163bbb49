"""The tokens of rows against their layout: labels, masks, positions, weights."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sftcli.batch import IGNORE
from sftcli.layout import Layout
from sftcli.view.aligned import APART, Aligned, Lists, aligned, documents_of
from sftcli.view.marks import Bools, Ints, sums


class Fault(NamedTuple):
    """How many rows break a rule, the first of them (from 0), and what is wrong there."""

    rows: int
    first: int
    detail: str


def fault(rows: Bools, detail: str) -> Fault:
    """That of the rows where the flags are true; `detail` is of the first of them."""
    return Fault(int(np.count_nonzero(rows)), int(rows.argmax()), detail)


class TokenCheck:
    """The columns of a unit: of the right types, as long as one another, and without nulls.

    `stated` are the lengths of the rows, where they have a column of them.
    """

    def __init__(
        self, columns: Mapping[str, Lists], layout: Layout, stated: npt.NDArray[Any] | None = None
    ) -> None:
        self._columns, self._layout, self._stated = columns, layout, stated
        self.rows: Aligned = aligned(columns, layout)
        self.lengths: Ints = self.rows.lengths
        self.documents = documents_of(columns, np.diff(self.rows.offsets)) if layout.packed else None

    @cached_property
    def _padding(self) -> Bools:
        return np.zeros(len(self.rows.ids), np.bool_) if self.rows.real is None else ~self.rows.real

    @cached_property
    def _learnt(self) -> Lists | None:
        """bool[A]: of each answer whether it is learnt, as the labels say; None where there are none."""
        labels = self._columns.get("labels")
        return None if labels is None else Lists(labels.values != IGNORE, labels.offsets)

    def wrong_labels(self) -> Fault | None:
        labels = self._columns.get("labels")
        if labels is None:
            return None
        if self._layout.kind in APART:
            ignored = labels.values == IGNORE
            told = f"its label in place {{}} is {IGNORE}, and all of an answer is learnt"
            return self._at(labels, ignored, told) if ignored.any() else None
        rows, wrong = self.rows, (self.rows.labels != self.rows.ids) & self.rows.trained
        if rows.real is not None:
            wrong |= rows.trained & self._padding
        if not wrong.any():
            return self._label_at_the_end(labels)
        at = int(wrong.argmax())
        own, label = int(rows.ids[at]), int(rows.labels[at])
        if own == label:
            return self._at(rows, wrong, f"token {{}} is padding, and has a label other than {IGNORE}")
        if self._layout.kind == "shifted":
            told = f"follows the label {label}, and has the id {own}: the label should be {own} or {IGNORE}"
        else:
            told = f"has the id {own} and the label {label}, which should be {own} or {IGNORE}"
        return self._at(rows, wrong, "token {} " + told)

    def _label_at_the_end(self, labels: Lists) -> Fault | None:
        """Where labels are those of the next tokens, the last place of a row has none."""
        lasts = self._lasts(labels, labels.values != IGNORE)
        told = "its label in place {} is of a token after its last one"
        return None if lasts is None else self._at(labels, lasts, told)

    def _lasts(self, answers: Lists, flags: Bools) -> Bools | None:
        """The flags of the last place in each row, of a layout that moves them; None where none is true."""
        if self._layout.kind != "shifted":
            return None
        lasts = np.zeros(len(flags), np.bool_)
        lasts[answers.offsets[1:][answers.lengths > 0] - 1] = True
        lasts &= flags
        return lasts if lasts.any() else None

    def untrained(self) -> Fault | None:
        bare = sums(self.rows.trained, self.rows.offsets) == 0
        return fault(bare, "no token is trained") if bare.any() else None

    def unknown_ids(self, vocabulary: int) -> Fault | None:
        ids = self.rows.ids
        if not len(ids) or (ids.min() >= 0 and ids.max() < vocabulary):
            return None
        unknown = (ids < 0) | (ids >= vocabulary)
        if self._layout.kind in APART:
            unknown &= ids != IGNORE  # a label that is told of as one
        if not unknown.any():
            return None
        own = int(ids[unknown.argmax()])
        return self._at(
            self.rows, unknown, f"token {{}} has the id {own}, and the tokenizer {vocabulary:,} ids from 0 on"
        )

    def wrong_mask(self) -> Fault | None:
        """Padding is where and as much as was asked for."""
        column = self._columns.get("attention_mask")
        if column is None:
            return None
        if self.rows.real is not None or (column.values != 1).any():
            found = self._broken_mask(column)
            if found is not None:
                return found
        padding, widths = self._layout.padding, column.lengths
        if padding is None:
            return None
        short = widths != padding.lengths(self.lengths)
        if not short.any():
            return None
        row = int(short.argmax())
        wanted = int(padding.lengths(self.lengths)[row])
        return fault(short, f"it is {int(widths[row]):,} tokens with its padding, and should be {wanted:,}")

    def _broken_mask(self, column: Lists) -> Fault | None:
        mask, offsets = column.values, column.offsets
        changes = np.diff(mask, prepend=mask[:1]) != 0
        changes[offsets[:-1][offsets[:-1] < len(changes)]] = False  # from row to row
        other = (mask != 0) & (mask != 1)
        has_other = sums(other, offsets) > 0
        wrong = has_other | (sums(changes, offsets) > 1)
        if wrong.any():
            if has_other[wrong.argmax()]:
                return fault(wrong, f"its attention mask holds {int(mask[other.argmax()])}")
            return fault(wrong, "its padding is not at one end")
        padded = self.lengths < column.lengths
        if self._layout.padding is None:
            return fault(padded, "it is padded, and should not be")
        side = self._layout.padding.side
        ends = np.where(padded, offsets[:-1] if side == "right" else offsets[1:] - 1, 0)
        swapped = padded & self._padding[ends] & (self.lengths > 0)
        return fault(swapped, f"its padding is not on the {side}") if swapped.any() else None

    def wrong_positions(self) -> Fault | None:
        """Documents fill their row, begin untrained, and are counted through from 0."""
        starts = self._columns.get("seq_start_id")
        if starts is not None and (found := self._wrong_starts(starts)) is not None:
            return found
        if self.documents is None:
            return None
        values, offsets = self.documents.values, self.documents.offsets
        sizes = sums(values, offsets)
        if (wrong := sizes != self.lengths).any():
            row = int(wrong.argmax())
            told = f"{int(sizes[row]):,}, and it has {int(self.lengths[row]):,} tokens"
            return fault(wrong, f"its seq_lengths add up to {told}")
        if (values < 1).any():
            return fault(sums(values < 1, offsets) > 0, f"a part of it has {int(values.min())} tokens")
        # Where documents begin: counted without padding, and then in the columns.
        begins = np.cumsum(values) - values
        if self.rows.real is not None:
            begins = np.flatnonzero(self.rows.real)[begins]
        firsts = begins[np.minimum(offsets[:-1], max(len(begins) - 1, 0))] if len(begins) else begins
        later = self._flags(begins) & self.rows.trained
        later[firsts] = False
        if later.any():
            return self._at(self.rows, later, "token {} begins a later packed row, and is trained")
        return self._uncounted(self._flags(begins))

    def _wrong_starts(self, starts: Lists) -> Fault | None:
        """seq_start_id begins with 0 and rises, and has one value where rows are not packed."""
        filled = starts.lengths > 0
        if not filled.all():
            return fault(~filled, "its seq_start_id has no values")
        wrong = starts.values[starts.offsets[:-1]] != 0
        rises = np.diff(starts.values, append=0) > 0
        rises[starts.offsets[1:] - 1] = True
        wrong |= sums(~rises, starts.offsets) > 0
        wrong |= starts.values[starts.offsets[1:] - 1] >= np.maximum(self.rows.lengths, 1)
        if not self._layout.packed:
            wrong |= starts.lengths != 1
        if not wrong.any():
            return None
        own = ", ".join(map(str, starts.row(int(wrong.argmax()))[:8]))
        return fault(wrong, f"its seq_start_id is {own}, which are not the starts of its documents")

    def _uncounted(self, begins: Bools) -> Fault | None:
        """Tokens whose position is not their place in their document; padding counts as one."""
        column = self._columns.get("position_ids")
        if column is None:
            return None
        begins[self.rows.offsets[:-1][np.diff(self.rows.offsets) > 0]] = True
        if self.rows.real is not None:
            begins[1:] |= self._padding[1:] != self._padding[:-1]
        places = np.arange(len(begins))
        wrong = column.values != places - np.maximum.accumulate(places * begins)
        if not wrong.any():
            return None
        own = int(column.values[wrong.argmax()])
        return self._at(self.rows, wrong, f"token {{}} has the position id {own}")

    def wrong_loss_mask(self, needs_context: bool) -> Fault | None:
        """loss_mask is 1 where a label is, or an answer of a token that is there."""
        mask = self._columns.get("loss_mask")
        if mask is None:
            return None
        other = (mask.values != 0) & (mask.values != 1)
        if other.any():
            return self._at(mask, other, f"its loss_mask in place {{}} is {int(mask.values[other.argmax()])}")
        if self._learnt is not None:
            differ = (mask.values != 0) != self._learnt.values
            if not differ.any():
                return None
            told = "1, and no label" if mask.values[differ.argmax()] else "0, and a label"
            return self._at(mask, differ, f"its loss_mask in place {{}} is {told} is there")
        lasts = self._lasts(mask, mask.values != 0)
        if lasts is not None:
            return self._at(mask, lasts, "its loss_mask in place {} is 1, and no token follows")
        if not needs_context:
            return None
        firsts = np.zeros(len(self.rows.ids), np.bool_)
        firsts[self.rows.offsets[:-1][np.diff(self.rows.offsets) > 0]] = True
        firsts &= self.rows.trained
        told = "token {} is learnt, and nothing of its row stands before it"
        return self._at(self.rows, firsts, told) if firsts.any() else None

    def wrong_weights(self) -> Fault | None:
        """A weight is a number over 0 where there is a label, else 0."""
        weights = self._columns.get("loss_weights")
        if weights is None or self._learnt is None:
            return None
        values = weights.values
        wrong = ~np.where(self._learnt.values, np.isfinite(values) & (values > 0), values == 0)
        if not wrong.any():
            return None
        at = int(wrong.argmax())
        there = "a label" if self._learnt.values[at] else "no label"
        told = f"its loss weight in place {{}} is {values[at]}, and {there} is there"
        return self._at(weights, wrong, told)

    def wrong_turns(self) -> Fault | None:
        turns = self._columns.get("turn_ids")
        if turns is None:
            return None
        wrong = turns.values < -1
        if self.rows.real is not None:
            wrong |= self._padding & (turns.values != -1)
        if not wrong.any():
            return None
        return self._at(turns, wrong, f"token {{}} has the turn {int(turns.values[wrong.argmax()])}")

    def wrong_lengths(self, most: int | None) -> Fault | None:
        """No row is longer than was asked for, and `length` is what `input_ids` has without padding."""
        if most is not None and (longer := self.lengths > most).any():
            own = int(self.lengths[longer.argmax()])
            return fault(longer, f"it has {own:,} tokens, and --max-length {most:,} made it")
        if self._stated is None:
            return None
        read = self._columns["input_ids"].lengths if self._layout.kind in APART else self.lengths
        differ = self._stated != read
        if not differ.any():
            return None
        row = int(differ.argmax())
        told = f"its length is {int(self._stated[row]):,}, and input_ids has {int(read[row]):,} tokens"
        return fault(differ, told)

    def _flags(self, places: Ints) -> Bools:
        """bool[T]: true at these tokens."""
        flags = np.zeros(len(self.rows.ids), np.bool_)
        flags[places] = True
        return flags

    @staticmethod
    def _at(column: Lists | Aligned, flags: Bools, told: str) -> Fault:
        """The rows with a place where the flags are true; `told` has `{}` for the first one in its row."""
        rows = sums(flags, column.offsets) > 0
        place = int(flags.argmax()) - int(column.offsets[rows.argmax()])
        return fault(rows, told.format(place))
