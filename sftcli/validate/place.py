"""A place in a text -> its column in the line of JSON that holds it; it runs for findings only."""

import json
import re
from collections.abc import Sequence

from sftcli.parse import column_of
from sftcli.validate.texts import Text

# What stands for one character inside a string.
_UNIT = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL
)
_BETWEEN = re.compile(r"[ \t\r\n,:]*")
# Numbers stay text: thousands of digits would be refused.
_value_at = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode


def column_of_text(raw: bytes, text: Text, at: int | None = None) -> int:
    """The 1-based column, in code points, of character `at` of a text in a line; None is the whole text."""
    if text.inner is None:
        return _column(raw.decode(), text.path, at, is_key=text.is_key)
    line = raw.decode()
    outer, _ = _value_at(line, column_of(raw, text.path) - 1)
    inside = _column(outer, text.inner, at, is_key=text.is_key)
    return _column(line, text.path, inside - 1, is_key=False)


def column_in(raw: bytes, path: Sequence[str | int], at: int | None = None) -> int:
    """The 1-based column, in code points, of character `at` of the string at `path`.

    None is the string as a whole, which begins with its quote. So is a place beyond its end.
    """
    return _column(raw.decode(), path, at, is_key=False)


def end_of_value(text: str, start: int) -> int:
    """Where the JSON value that begins at `start` ends."""
    return int(_value_at(text, start)[1])


def _column(line: str, path: Sequence[str | int], at: int | None, *, is_key: bool) -> int:
    column = column_of(line.encode(), path[:-1] if is_key else path)
    if is_key:
        column = _key_start(line, column - 1, str(path[-1])) + 1
    if at is None or line[column - 1 : column] != '"':
        return column
    end = column
    for _ in range(at):
        unit = _UNIT.match(line, end)
        if unit is None or unit[0] == '"':
            return column
        end = unit.end()
    return end + 1


def _key_start(line: str, start: int, key: str) -> int:
    """Where a key of the object that begins at `start` begins; of equal keys the last one counts."""
    found, position = start, _past(line, start + 1)
    while line[position] != "}":
        name, end = _value_at(line, position)
        found = position if name == key else found
        position = _past(line, _value_at(line, _past(line, end))[1])
    return found


def _past(line: str, position: int) -> int:
    between = _BETWEEN.match(line, position)
    return between.end() if between else position
