"""Keys that are given twice in one object: a decoder keeps the last value and says nothing.

To look for them in every line would cost as much as to decode it. But the colons that may follow a
key are quickly counted for many lines at once, and are never fewer than a line's keys; where the
decoded record has as many keys, none of them was given twice. Only other lines are looked at.
"""

import json
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from sftcli.json_text import DECODE_ERRORS, MAX_DEPTH, depth_of, first_fault
from sftcli.parse.failure import fail, shown
from sftcli.parse.locate import keys_twice
from sftcli.parse.reads import Reads

_QUOTE, _COLON, _BACKSLASH = b'":\\'

Counts = npt.NDArray[np.int64]


def most_keys(whole: bytes, lengths: Counts) -> Counts:
    """For each line of JSON, how many keys it has at most, as int64[number of lines].

    `whole` is the lines with a line break between each two, `lengths` the bytes of each line alone.
    """
    text = np.frombuffer(whole, np.uint8)
    colons = np.flatnonzero(text == _COLON)
    colons = colons[np.searchsorted(colons, 2) :]  # there is something before every key's colon
    before = text[colons - 1]
    # Most colons in prose follow a letter; only the rest is worth a closer look.
    near = np.flatnonzero(before <= _QUOTE)
    colons, before = colons[near], before[near]
    second = text[colons - 2]
    after_quote = ~_is_odd(text, colons - 2, second == _BACKSLASH)  # a quote that is not escaped
    after_blank = second <= _QUOTE
    colons = colons[np.where(before == _QUOTE, after_quote, after_blank)]
    return np.diff(np.searchsorted(colons, np.cumsum(lengths + 1)), prepend=0)


def _is_odd(text: npt.NDArray[np.uint8], ends: Counts, some: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether the backslashes that end at each place are odd in number; there are `some` at these."""
    odd = some.copy()
    run = np.flatnonzero(some)
    at = ends[run] - 1
    while len(run):
        goes_on = text[at] == _BACKSLASH
        run, at = run[goes_on], at[goes_on] - 1
        odd[run] ^= True
    return odd


def check_keys(raw: bytes, reads: Reads) -> None:
    """Raise RecordError `duplicate_key` where a good line gives a key that is read twice."""
    if not has_key_twice(raw.decode()):
        return
    for (*place, key), column in keys_twice(raw.decode()):
        if (*place, key) in reads:
            problem = fail(
                "duplicate_key", f"{shown(key)} is given twice; remove one of the two", tuple(place), {}
            )
            problem.column = column
            raise problem


def has_keys(record: dict[str, Any], most: int) -> bool:
    """Whether a decoded record has `most` keys, which are all that its line can hold."""
    count = len(record)
    for value in record.values():
        if type(value) is list:
            for part in value:
                if type(part) is dict:
                    count += len(part)
    # Turns with nothing but text in them are most of what there is; other objects take longer.
    return count == most or count_keys(record) == most


def count_keys(value: dict[str, Any] | list[Any]) -> int:
    """How many keys all objects in a decoded value have together."""
    count, parts = (len(value), value.values()) if isinstance(value, dict) else (0, value)
    for part in parts:
        kind = type(part)
        if kind is dict or kind is list:
            count += count_keys(part)
    return count


def has_key_twice(text: str) -> bool:
    """Whether any object in JSON text that is known to be good gives a key twice."""
    found = False

    def note(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len({key for key, _ in pairs}) < len(pairs)

    json.loads(text, object_pairs_hook=note, parse_int=str, parse_float=str)
    return found


def decode_text(text: str) -> Any:
    """JSON that stands inside a string. Raises ValueError with what is wrong with it."""
    try:
        value = msgspec.json.decode(text)
    except DECODE_ERRORS:
        fault = first_fault(text)
        raise ValueError(fault.message if fault else "it cannot be read") from None
    if not isinstance(value, dict | list):
        return value
    if text.count("{") + text.count("[") > MAX_DEPTH and depth_of(value) > MAX_DEPTH:
        raise ValueError(f"lists and objects are nested more than {MAX_DEPTH} deep")
    if _most_keys_of(text) != count_keys(value) and has_key_twice(text):
        (*_, key), _ = keys_twice(text)[0]
        raise ValueError(f"{shown(key)} is given twice; remove one of the two")
    return value


def _most_keys_of(text: str) -> int:
    if "\t" in text or "\n" in text or "\r" in text:
        return text.count(":")
    return text.count('":') + text.count(" :")
