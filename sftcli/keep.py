"""A record's own fields that go along with its row (`keep`): their types, and their values."""

from collections.abc import Mapping, Sequence
from typing import Any

from sftcli.errors import ConfigError, RecordError
from sftcli.parse.failure import fail, shown, type_name, what_is_there
from sftcli.rendered import KeptValue
from sftcli.yamlfile import nearest

# The Arrow type of a column, and what its values are called.
_TYPES = {str: "string", int: "int64", float: "double", bool: "bool"}
_EXPECTED = {"string": "text", "int64": "a whole number", "double": "a number", "bool": "true or false"}
_MAX_INT64 = (1 << 63) - 1
_MAX_EXACT = 1 << 53  # beyond it not every whole number is a double

Types = Mapping[str, str]  # field -> string, int64, double or bool


def keep_types(names: Sequence[str], records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The type of each field's column, as the first records have it; whole numbers may turn out to be others.

    Raises ConfigError for a field that none of the records has, or that is no plain value in the first.
    """
    return {
        name: _type(name, [record[name] for record in records if name in record], records) for name in names
    }


def _type(name: str, values: Sequence[object], records: Sequence[Mapping[str, Any]]) -> str:
    if not values:
        there = dict.fromkeys(key for record in records for key in record)
        raise ConfigError(f"--keep {name}: the first records have no such field{nearest(name, there)}")
    found = [_TYPES.get(type(value)) for value in values]
    if found[0] is None:
        raise ConfigError(
            f"--keep {name}: is {type_name(values[0])} in the first record that has it; only text, numbers, "
            "and true or false can be kept"
        )
    return "double" if found[0] == "int64" and "double" in found else found[0]


def shared_types(sources: Mapping[str, Types]) -> dict[str, str]:
    """One type for each field of several sources, which are named: whole numbers go with others.

    Raises ConfigError where two sources have a field of types that do not go together.
    """
    shared: dict[str, str] = {}
    first = next(iter(sources), "")
    for source, types in sources.items():
        for name, type_ in types.items():
            before = shared.setdefault(name, type_)
            if before != type_ and {before, type_} != {"int64", "double"}:
                raise ConfigError(
                    f"--keep {name}: is {_EXPECTED[before]} in source {first!r} and {_EXPECTED[type_]} in "
                    f"source {source!r}; a column has one type: make them alike, or leave it out"
                )
            shared[name] = type_ if before == "int64" else before
    return shared


def kept_values(record: Mapping[str, Any], types: Types) -> tuple[KeptValue, ...]:
    """The record's values for the columns. Raises RecordError where one is missing or of another type."""
    return tuple(_value(record, name, type_) for name, type_ in types.items())


def _value(record: Mapping[str, Any], name: str, type_: str) -> KeptValue:
    if name not in record:
        raise RecordError(
            "missing_field", f"field {name!r} (--keep) is missing; {what_is_there(list(record))}"
        )
    value: KeptValue = record[name]
    found = _TYPES.get(type(value))
    if type_ == "double" and found == "int64" and -_MAX_EXACT <= value <= _MAX_EXACT:  # type: ignore[operator]
        return float(value)
    if found != type_:
        number = f" {shown(value)}" if type(value) in (int, float) else ""
        message = (
            f"expected {_EXPECTED[type_]} (--keep), as in the first records, found {type_name(value)}{number}"
        )
        raise fail("wrong_type", message, (name,), {})
    if type(value) is int and not -_MAX_INT64 <= value <= _MAX_INT64:
        raise fail("wrong_type", "a whole number of more than 64 bits cannot be kept (--keep)", (name,), {})
    return value
