"""Rows of a shard against the contract of the columns, a unit at a time and all of its rows at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sftcli.layout import Layout
from sftcli.prepared import Facts
from sftcli.profiles import PROFILES
from sftcli.verify.tokens import Fault, TokenCheck, fault
from sftcli.view.aligned import APART, Lists
from sftcli.view.layouts import config_in, layout_in
from sftcli.view.shards import Shard, lists_of, numbers, offsets_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Contract:
    """What the rows of a folder must be: in this layout, of ids below `vocabulary`.

    `max_length`: the most tokens of a row, None where it has no limit. `needs_context`: no row begins
    with a trained token.
    """

    vocabulary: int
    layout: Layout = field(default_factory=Layout)
    max_length: int | None = None
    needs_context: bool = False


@dataclass
class UnitCheck:
    """What a unit holds (padding is no token), and what is wrong in it, by rule."""

    rows: int
    tokens: int = 0
    trained: int = 0
    documents: int = 0
    faults: dict[str, Fault] = field(default_factory=dict)


def contract_of(folder: Path, facts: Facts) -> Contract:
    """What a manifest says of the rows. Raises OutputError where its config is none."""
    config = config_in(folder, facts)
    needs_context = config.profile is not None and PROFILES[config.profile].needs_context
    return Contract(facts.tokenizer.size, layout_in(folder, facts), config.max_length, needs_context)


def check_unit(shard: Shard, unit: int, contract: Contract) -> UnitCheck:
    """Judge the rows of a unit.

    Raises EnvironmentFault where the file cannot be read, or a column contradicts itself.
    """
    first, stop = shard.bounds[unit : unit + 2].tolist()
    check, layout = UnitCheck(stop - first), contract.layout
    arrays = shard.arrays(unit, shard.columns)
    # Each of these must hold before the next can be looked at.
    for code, found in (("V007", _types(arrays, layout)), ("V008", _nulls(arrays))):
        if found is not None:
            check.faults[code] = found
            return check
    columns = {name: _lists(array) for name, array in arrays.items() if _is_list(array)}
    unequal = _unequal(columns, layout)
    if unequal is not None:
        check.faults["V009"] = unequal
        return check
    lengths = arrays.get("length")
    tokens = TokenCheck(columns, layout, None if lengths is None else numbers(lengths))
    check.tokens, check.trained = int(tokens.lengths.sum()), int(tokens.rows.trained.sum())
    check.documents = check.rows if tokens.documents is None else len(tokens.documents.values)
    judged = {
        "V010": tokens.wrong_labels(),
        "V011": tokens.untrained(),
        "V012": tokens.unknown_ids(contract.vocabulary),
        "V013": tokens.wrong_mask(),
        "V014": tokens.wrong_positions(),
        "V026": tokens.wrong_loss_mask(contract.needs_context),
        "V027": tokens.wrong_weights(),
        "V028": tokens.wrong_turns(),
        "V029": tokens.wrong_lengths(contract.max_length),
    }
    check.faults = {code: found for code, found in judged.items() if found is not None}
    return check


def wrong_names(columns: Sequence[str], layout: Layout) -> str | None:
    """What is wrong with the names of a shard's columns."""
    if sorted(columns) == sorted(layout.names):
        return None
    return f"its columns are {', '.join(columns) or 'none'}, and should be {', '.join(layout.names)}"


def _types(arrays: "dict[str, pa.Array]", layout: Layout) -> Fault | None:
    import pyarrow as pa

    for name, array in arrays.items():
        own, wanted = array.type, layout.schema.field(name).type
        # What the values of a list are called is the file's own affair.
        same = own == wanted
        if pa.types.is_list(wanted):
            same = pa.types.is_list(own) and own.value_type == wanted.value_type
        if not same:
            told = [str(type_).replace("element: ", "").replace("item: ", "") for type_ in (own, wanted)]
            return Fault(len(array), 0, f"its column {name} is {told[0]}, and should be {told[1]}")
    return None


def _is_list(array: "pa.Array") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(array.type))


def _nulls(arrays: "dict[str, pa.Array]") -> Fault | None:
    broken: dict[int, str] = {}
    for name, array in arrays.items():
        if array.null_count or (_is_list(array) and array.flatten().null_count):
            for index, row in enumerate(array):
                if not row.is_valid:
                    broken.setdefault(index, f"{name} is null")
                elif _is_list(array) and row.values.null_count:
                    broken.setdefault(index, f"{name} holds a null")
    return Fault(len(broken), min(broken), broken[min(broken)]) if broken else None


def _lists(array: "pa.Array") -> Lists:
    """A column of lists; of texts only how many there are in each row."""
    import pyarrow as pa

    values = array.type.value_type
    if pa.types.is_integer(values) or pa.types.is_float32(values):
        return lists_of(array, floats=pa.types.is_float32(values))
    return Lists(np.zeros(0, np.int8), offsets_of(array))


def _unequal(columns: dict[str, Lists], layout: Layout) -> Fault | None:
    """Columns of values for each token, for each answer and for each document are as long as one another."""
    like = {"token": "input_ids"}
    if layout.kind not in APART:
        like["answer"] = "input_ids"
    for name, column in layout.columns.items():
        if name not in columns:
            continue
        first = like.setdefault(column.per, name)
        wanted, own = columns[first].lengths, columns[name].lengths
        if (differ := own != wanted).any():
            row = int(differ.argmax())
            return fault(differ, f"{first} has {_values(int(wanted[row]))}, and {name} {own[row]:,}")
    if layout.kind not in APART:
        return None
    read, answers = columns["input_ids"].lengths, columns["labels"].lengths
    if (nothing := read == 0).any():
        return fault(nothing, "input_ids has no values, so that nothing is read before the answer")
    if layout.kind == "steps" and (other := answers != 1).any():
        return fault(
            other, f"labels has {_values(int(answers[other.argmax()]))}, and a step answers with one"
        )
    return None


def _values(number: int) -> str:
    return f"{number:,} value{'' if number == 1 else 's'}"


def merged(checks: Iterator[UnitCheck]) -> UnitCheck:
    """Units of a shard, in order, as one."""
    whole = UnitCheck(0)
    for check in checks:
        for code, found in check.faults.items():
            before = whole.faults.get(code)
            if before is None:
                whole.faults[code] = found._replace(first=whole.rows + found.first)
            else:
                whole.faults[code] = before._replace(rows=before.rows + found.rows)
        whole.rows += check.rows
        whole.tokens += check.tokens
        whole.trained += check.trained
        whole.documents += check.documents
    return whole
