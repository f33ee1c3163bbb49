"""A place in a text -> its column in the line of JSON that holds it; it runs for findings only."""

import json
import re
from collections.abc import Sequence

from sftcli.validate.texts import Text

# What stands for one character inside a string, from a backslash on.
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.", re.DOTALL
)
_BETWEEN = re.compile(r"[ \t\r\n,:]*")
# Numbers stay text: thousands of digits would be refused.
_value_at = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode


class Places:
    """Finds columns in one line of good JSON, 1-based and in code points.

    A list or object, and a string whose places are asked for in order, is gone through once, however
    many places are found in it.
    """

    def __init__(self, line: str) -> None:
        self.line = line
        self._members: dict[int, _Members] = {}  # these four by where a value begins
        self._ends: dict[int, int] = {}
        self._reached: dict[int, tuple[int, int]] = {}  # of a string: some characters, and where they end
        self._inner: dict[int, Places] = {}

    def of(self, text: Text, at: int | None = None) -> int:
        """The column of character `at` of a text; None is the whole text."""
        if text.inner is None:
            return self.column(text.path, at, is_key=text.is_key)
        start = self._start(text.path)
        if start not in self._inner:
            self._inner[start] = Places(_value_at(self.line, start)[0])
        inside = self._inner[start].column(text.inner, at, is_key=text.is_key)
        return self.column(text.path, inside - 1)

    def column(self, path: Sequence[str | int], at: int | None = None, *, is_key: bool = False) -> int:
        """The column of character `at` of the string at `path`, or of the key that ends the path.

        None is the string as a whole, which begins with its quote. So is a place beyond its end, and of
        a value that is not there the nearest one that holds it.
        """
        start = self._start(path, is_key=is_key)
        if at is not None and self.line[start] == '"':
            return self._character(start, at) + 1
        return start + 1

    def end(self, path: Sequence[str | int]) -> int:
        """How many characters of the line stand up to the end of the value at `path`."""
        return self._end(self._start(path))

    def _start(self, path: Sequence[str | int], *, is_key: bool = False) -> int:
        """Where the value at a path begins, counted from 0."""
        start = _past(self.line, 0)
        for depth, key in enumerate(path, 1):
            members = self._members.get(start)
            if members is None:
                members = self._members[start] = _Members(self.line, start)
            table = members.keys if is_key and depth == len(path) else members.values
            if key not in table:
                break
            start = table[key]
        return start

    def _end(self, start: int) -> int:
        if start not in self._ends:
            self._ends[start] = _value_at(self.line, start)[1]
        return self._ends[start]

    def _character(self, start: int, at: int) -> int:
        """Where character `at` of the string that begins at `start` is."""
        quote = self._end(start) - 1
        passed, end = self._reached.get(start, (0, start + 1))
        if passed > at:
            passed, end = 0, start + 1
        while passed < at:
            escape = self.line.find("\\", end, min(end + at - passed, quote))
            plain = (escape if escape >= 0 else end + at - passed) - end
            passed, end = passed + plain, end + plain
            if end > quote:
                return start
            unit = _ESCAPE.match(self.line, end) if escape >= 0 else None
            if unit is not None:
                passed, end = passed + 1, unit.end()
        self._reached[start] = passed, end
        return end


class _Members:
    """Where the keys and values of the list or object that begins at `start` begin.

    Of equal keys the last one counts, as it does for the decoder. Other values have none.
    """

    def __init__(self, line: str, start: int) -> None:
        self.keys: dict[str | int, int] = {}
        self.values: dict[str | int, int] = {}
        is_object = line[start] == "{"
        position = _past(line, start + 1) if is_object or line[start] == "[" else len(line)
        while position < len(line) and line[position] not in "}]":
            key: str | int = len(self.values)
            if is_object:
                name, end = _value_at(line, position)
                key = str(name)
                self.keys[key] = position
                position = _past(line, end)
            self.values[key] = position
            position = _past(line, _value_at(line, position)[1])


def _past(line: str, position: int) -> int:
    between = _BETWEEN.match(line, position)
    return between.end() if between else position
