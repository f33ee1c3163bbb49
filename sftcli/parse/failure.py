"""What is wrong with a record and where, said the same way everywhere."""

import difflib
from collections.abc import Mapping
from typing import Any

from sftcli.errors import RecordError

Names = Mapping[str, str]  # canonical field name -> the data's own, from --field NAME=KEY
Place = tuple[str | int, ...]  # from the record's root, in canonical names

# White space, and characters that take no room: what is made of these alone says nothing.
UNSEEN = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\xad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f"
    "\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff"
    "\ufe00\ufe01\ufe02\ufe03\ufe04\ufe05\ufe06\ufe07\ufe08\ufe09\ufe0a\ufe0b\ufe0c\ufe0d\ufe0e\ufe0f"
)
_SHOWN_KEYS = 12
_TYPE_NAMES: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def fail(code: str, message: str, place: Place, names: Names) -> RecordError:
    """A RecordError whose message begins with its place, in the data's own field names."""
    path = tuple(names.get(part, part) if isinstance(part, str) else part for part in place)
    return RecordError(code, f"{_show(path)}: {message}" if path else message, path=path)


def wrong_type(value: object, expected: str, place: Place, names: Names) -> RecordError:
    return fail("wrong_type", f"expected {expected}, found {type_name(value)}", place, names)


def missing(record: Mapping[str, Any], name: str, place: Place, names: Names) -> RecordError:
    """`name` is not in the object at `place`; the column is that of the object."""
    own = names.get(name, name)
    there = [names.get(key, key) for key in record]
    near = difflib.get_close_matches(own, there, n=1)
    hint = f"; did you mean {shown(near[0])}? (--field {name}={near[0]})" if near else ""
    return fail("missing_field", f"field {own!r} is missing; {what_is_there(there)}{hint}", place, names)


def what_is_there(keys: list[str]) -> str:
    listed = ", ".join(map(shown, keys[:_SHOWN_KEYS]))
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    return f"the fields there are {listed}{more}" if keys else "the object is empty"


def text_of(record: Mapping[str, Any], name: str, place: Place, names: Names) -> str:
    """The text under `name`. Raises RecordError where it is missing or something else."""
    if name not in record:
        raise missing(record, name, place, names)
    value = record[name]
    if not isinstance(value, str):
        raise wrong_type(value, "text", (*place, name), names)
    return value


def optional_text(record: Mapping[str, Any], name: str, place: Place, names: Names) -> str | None:
    """The text under `name`, or None where it is missing or null."""
    return None if record.get(name) is None else text_of(record, name, place, names)


def type_name(value: object) -> str:
    return _TYPE_NAMES.get(type(value), type(value).__name__)


def shown(value: object) -> str:
    """A value from the data, short and escaped, for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"


def is_blank(text: str) -> bool:
    """Whether nothing in a text can be seen."""
    # Of ASCII only white space cannot, for which there is a much quicker look.
    return not text or text.isspace() or (not text.isascii() and not text.strip(UNSEEN))


def _show(path: Place) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
