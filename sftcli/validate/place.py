"""A place in a text -> its column in the line of JSON that holds it; it runs for findings only."""

import json
import re
from collections.abc import Sequence

from sftcli.parse import column_of

# What stands for one character inside a string.
_UNIT = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL
)


def column_in(raw: bytes, path: Sequence[str | int], at: int | None = None) -> int:
    """The 1-based column, in code points, of character `at` of the string at `path`.

    None is the string as a whole, which begins with its quote. So is a place beyond its end.
    """
    column = column_of(raw, path)
    text = raw.decode()
    if at is None or text[column - 1 : column] != '"':
        return column
    end = column
    for _ in range(at):
        unit = _UNIT.match(text, end)
        if unit is None or unit[0] == '"':
            return column
        end = unit.end()
    return end + 1


def end_of_value(text: str, start: int) -> int:
    """Where the JSON value that begins at `start` ends."""
    return json.JSONDecoder().raw_decode(text, start)[1]
