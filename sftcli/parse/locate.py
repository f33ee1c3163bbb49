"""The column of a value in its line; it runs for bad records only."""

import json
from collections.abc import Sequence

from sftcli.errors import RecordError, Reject
from sftcli.read import LINE_TOO_LONG

# Numbers stay text: only their length matters, and thousands of digits would be refused.
_value_at = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
_SPACE = " \t\r\n"

Path = tuple[str | int, ...]


def make_reject(error: RecordError, raw: bytes, file: str, line: int, byte: int) -> Reject:
    """The bad record with its place; `raw` is empty for a line that was too long to keep."""
    column = error.column if error.column is not None else column_of(raw, error.path)
    kept = b"" if raw == LINE_TOO_LONG else raw
    return Reject(file, line, column, byte, error.code, error.message, kept)


def column_of(raw: bytes, path: Sequence[str | int]) -> int:
    """The 1-based column, in code points, of the value at `path`, or of its nearest parent there is.

    Of equal keys the last one counts, as it does for the decoder. 1 where the line is no JSON.
    """
    try:
        text = raw.decode()
        position = _skip(text, 0)
        for key in path:
            found = _child(text, position, key)
            if found is None:
                break
            position = found
    except (ValueError, IndexError, RecursionError):
        return 1
    return position + 1


def keys_twice(text: str) -> list[tuple[Path, int]]:
    """Each key that its object had before, in good JSON text: its path and its own 1-based column."""
    found: list[tuple[Path, int]] = []
    _walk(text, _skip(text, 0), (), found)
    return found


def _walk(text: str, position: int, path: Path, found: list[tuple[Path, int]]) -> int:
    """Past the value at `position`, whose keys are looked at."""
    if text[position] == "[":
        index, position = 0, _skip(text, position + 1)
        while text[position] != "]":
            position = _past_comma(text, _walk(text, position, (*path, index), found))
            index += 1
        return position + 1
    if text[position] != "{":
        return _value_at(text, position)[1]
    seen: set[str] = set()
    position = _skip(text, position + 1)
    while text[position] != "}":
        key, after = _value_at(text, position)
        if key in seen:
            found.append(((*path, key), position + 1))
        seen.add(key)
        position = _skip(text, _skip(text, after) + 1)  # past the colon
        position = _past_comma(text, _walk(text, position, (*path, key), found))
    return position + 1


def _child(text: str, position: int, key: str | int) -> int | None:
    """Where the member or element `key` of the value at `position` begins."""
    if text[position] == "{" and isinstance(key, str):
        return _member(text, position, key)
    if text[position] == "[" and isinstance(key, int):
        return _element(text, position, key)
    return None


def _member(text: str, position: int, key: str) -> int | None:
    found = None
    position = _skip(text, position + 1)
    while text[position] != "}":
        name, position = _value_at(text, position)
        position = _skip(text, _skip(text, position) + 1)  # past the colon
        if name == key:
            found = position
        position = _next(text, position)
    return found


def _element(text: str, position: int, index: int) -> int | None:
    position = _skip(text, position + 1)
    while text[position] != "]":
        if index == 0:
            return position
        index -= 1
        position = _next(text, position)
    return None


def _next(text: str, position: int) -> int:
    """Past the value at `position` and the comma after it, if there is one."""
    return _past_comma(text, _value_at(text, position)[1])


def _past_comma(text: str, position: int) -> int:
    position = _skip(text, position)
    return _skip(text, position + 1) if text[position] == "," else position


def _skip(text: str, position: int) -> int:
    while text[position] in _SPACE:
        position += 1
    return position
