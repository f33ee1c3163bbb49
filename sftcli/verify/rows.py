"""Rows of a shard against the contract of the columns, a unit at a time and all of its rows at once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sftcli.batch import IGNORE
from sftcli.layout import Layout
from sftcli.view.marks import Bools, Ints, sums
from sftcli.view.shards import Lists, Shard, lists_of

if TYPE_CHECKING:
    import pyarrow as pa

# One value for each token, and one for each of the rows that were packed into one.
_PER_TOKEN = ("input_ids", "labels", "attention_mask", "position_ids")
_OPTIONAL = ("position_ids", "seq_lengths")


class Fault(NamedTuple):
    """How many rows break a rule, the first of them (from 0), and what is wrong there."""

    rows: int
    first: int
    detail: str


@dataclass
class UnitCheck:
    """What a unit holds (padding is no token), and what is wrong in it, by rule."""

    rows: int
    tokens: int = 0
    trained: int = 0
    faults: dict[str, Fault] = field(default_factory=dict)


def check_unit(shard: Shard, unit: int, vocabulary: int) -> UnitCheck:
    """Judge the rows of a unit; ids are below `vocabulary`.

    Raises EnvironmentFault where the file cannot be read, or a column contradicts itself.
    """
    first, stop = shard.bounds[unit : unit + 2].tolist()
    check = UnitCheck(stop - first)
    arrays = shard.arrays(unit, shard.columns)
    # Each of these must hold before the next can be looked at.
    for code, judge in (("V007", _types), ("V008", _nulls)):
        if (fault := judge(arrays)) is not None:
            check.faults[code] = fault
            return check
    columns = {name: lists_of(array) for name, array in arrays.items()}
    unequal = _unequal(columns)
    if unequal is not None:
        check.faults["V009"] = unequal
        return check
    rows = _Rows(columns)
    check.tokens, check.trained = int(rows.lengths.sum()), int(rows.trained.sum())
    found = {
        "V010": rows.wrong_labels(),
        "V011": rows.untrained(),
        "V012": rows.unknown_ids(vocabulary),
        "V013": rows.wrong_mask(),
        "V014": rows.wrong_positions(),
    }
    check.faults = {code: fault for code, fault in found.items() if fault is not None}
    return check


def wrong_names(columns: list[str]) -> str | None:
    """What is wrong with the names of a shard's columns."""
    needed = Layout().names
    missing = [name for name in needed if name not in columns]
    unknown = [name for name in columns if name not in (*needed, *_OPTIONAL)]
    if missing or unknown or len(set(columns)) < len(columns):
        return f"its columns are {', '.join(columns) or 'none'}, and should be {', '.join(needed)}"
    return None


def _types(arrays: "dict[str, pa.Array]") -> Fault | None:
    import pyarrow as pa

    types = {name: pa.list_(pa.int32()) for name in _OPTIONAL}
    types |= {column.name: column.type for column in Layout().schema}
    for name, array in arrays.items():
        if not (pa.types.is_list(array.type) and array.type.value_type == types[name].value_type):
            own, wanted = (
                str(type_).replace("element: ", "").replace("item: ", "")
                for type_ in (array.type, types[name])
            )
            return Fault(len(array), 0, f"its column {name} is {own}, and should be {wanted}")
    return None


def _nulls(arrays: "dict[str, pa.Array]") -> Fault | None:
    broken: dict[int, str] = {}
    for name, array in arrays.items():
        if array.null_count or array.flatten().null_count:
            for index, row in enumerate(array):
                if not row.is_valid:
                    broken.setdefault(index, f"{name} is null")
                elif row.values.null_count:
                    broken.setdefault(index, f"{name} holds a null")
    return Fault(len(broken), min(broken), broken[min(broken)]) if broken else None


def _unequal(columns: dict[str, Lists]) -> Fault | None:
    lengths = {name: np.diff(columns[name].offsets) for name in _PER_TOKEN if name in columns}
    ids = lengths["input_ids"]
    differ = np.any([these != ids for these in lengths.values()], axis=0)
    if not differ.any():
        return None
    row = int(differ.argmax())
    name, own = next((name, int(these[row])) for name, these in lengths.items() if these[row] != ids[row])
    return _fault(differ, f"input_ids has {_values(int(ids[row]))}, and {name} {own:,}")


def _values(number: int) -> str:
    return f"{number:,} value{'' if number == 1 else 's'}"


def _fault(rows: Bools, detail: str) -> Fault:
    return Fault(int(np.count_nonzero(rows)), int(rows.argmax()), detail)


class _Rows:
    """The columns of a unit: as long as one another, and without nulls."""

    def __init__(self, columns: dict[str, Lists]) -> None:
        self._columns = columns
        self.ids, self.offsets = columns["input_ids"].values, columns["input_ids"].offsets
        self.labels, self.mask = columns["labels"].values, columns["attention_mask"].values
        self.trained = self.labels != IGNORE
        self._padded = bool(len(self.mask)) and not (self.mask.min() == self.mask.max() == 1)
        self.lengths: Ints = sums(self.mask != 0, self.offsets) if self._padded else np.diff(self.offsets)

    def wrong_labels(self) -> Fault | None:
        wrong = (self.labels != self.ids) & self.trained
        if self._padded:
            wrong |= self.trained & (self.mask == 0)
        if not wrong.any():
            return None
        at = int(wrong.argmax())
        own, label = int(self.ids[at]), int(self.labels[at])
        if own == label:
            return self._at_tokens(wrong, f"is padding, and has a label other than {IGNORE}")
        return self._at_tokens(
            wrong, f"has the id {own} and the label {label}, which should be {own} or {IGNORE}"
        )

    def untrained(self) -> Fault | None:
        bare = sums(self.trained, self.offsets) == 0
        return _fault(bare, "no token is trained") if bare.any() else None

    def unknown_ids(self, vocabulary: int) -> Fault | None:
        if not len(self.ids) or (self.ids.min() >= 0 and self.ids.max() < vocabulary):
            return None
        unknown = (self.ids < 0) | (self.ids >= vocabulary)
        own = int(self.ids[unknown.argmax()])
        return self._at_tokens(unknown, f"has the id {own}, and the tokenizer {vocabulary:,} ids from 0 on")

    def wrong_mask(self) -> Fault | None:
        if not self._padded:
            return None
        changes = np.diff(self.mask, prepend=self.mask[:1]) != 0
        changes[self.offsets[:-1][self.offsets[:-1] < len(changes)]] = False  # from row to row
        other = (self.mask != 0) & (self.mask != 1)
        has_other = sums(other, self.offsets) > 0
        wrong = has_other | (sums(changes, self.offsets) > 1)
        if not wrong.any():
            return None
        if has_other[wrong.argmax()]:
            return _fault(wrong, f"its attention mask holds {int(self.mask[other.argmax()])}")
        return _fault(wrong, "its padding is not at one end")

    def wrong_positions(self) -> Fault | None:
        """position_ids count each packed row from 0; seq_lengths are the packed rows' lengths."""
        packed = self._columns.get("seq_lengths")
        if packed is None:
            return self._uncounted(self._flags(self.offsets[:-1]))
        sizes = sums(packed.values, packed.offsets)
        wrong = sizes != self.lengths
        if wrong.any():
            row = int(wrong.argmax())
            told = f"{int(sizes[row]):,}, and it has {int(self.lengths[row]):,} tokens"
            return _fault(wrong, f"its seq_lengths add up to {told}")
        if (packed.values < 1).any():
            own = int(packed.values.min())
            return _fault(sums(packed.values < 1, packed.offsets) > 0, f"a part of it has {own} tokens")
        # Where packed rows begin: counted without padding, and then in the columns.
        starts = np.flatnonzero(self.mask != 0)[np.cumsum(packed.values) - packed.values]
        begins = self._flags(starts)
        later = begins & self.trained
        later[self.offsets[:-1][np.diff(self.offsets) > 0]] = False
        if later.any():
            return self._at_tokens(later, "begins a later packed row, and is trained")
        return self._uncounted(begins, exact=True)

    def _uncounted(self, begins: Bools, exact: bool = False) -> Fault | None:
        """Tokens whose position is not one more than that before it.

        It is 0 where `begins` (bool[T]) is true and, unless `exact`, may be 0 elsewhere too.
        """
        column = self._columns.get("position_ids")
        if column is None:
            return None
        positions = column.values
        counted = positions[1:] == positions[:-1] + 1
        if not exact:
            counted |= positions[1:] == 0
        wrong = np.concatenate((np.ones(min(len(positions), 1), np.bool_), ~counted))
        wrong = np.where(begins, positions != 0, wrong) & (self.mask != 0)
        if not wrong.any():
            return None
        return self._at_tokens(wrong, f"has the position id {int(positions[wrong.argmax()])}")

    def _flags(self, places: Ints) -> Bools:
        """bool[T]: true at these tokens."""
        flags = np.zeros(len(self.ids), np.bool_)
        flags[places[places < len(flags)]] = True
        return flags

    def _at_tokens(self, tokens: Bools, told: str) -> Fault:
        """The rows that hold the tokens where the flags are true, and the first of them."""
        rows = sums(tokens, self.offsets) > 0
        place = int(tokens.argmax()) - int(self.offsets[rows.argmax()])
        return _fault(rows, f"token {place} {told}")


def merged(checks: Iterator[UnitCheck]) -> UnitCheck:
    """Units of a shard, in order, as one."""
    whole = UnitCheck(0)
    for check in checks:
        for code, fault in check.faults.items():
            before = whole.faults.get(code)
            if before is None:
                whole.faults[code] = fault._replace(first=whole.rows + fault.first)
            else:
                whole.faults[code] = before._replace(rows=before.rows + fault.rows)
        whole.rows += check.rows
        whole.tokens += check.tokens
        whole.trained += check.trained
    return whole
