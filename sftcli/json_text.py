"""JSON text that cannot be taken, and why: the first fault in it, with a code and a place.

The fast decoder only says that something is wrong. What it refuses is looked at here, so this runs
for bad text alone, in time and memory that grow with the text's length and no faster.
"""

import json
import re
from typing import Any, NamedTuple, Union

import msgspec

from sftcli.json_nesting import Nesting

MAX_DEPTH = 128  # lists and objects inside one another, the record itself included
# What the fast decoder raises for text that is no JSON.
DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Fault(NamedTuple):
    """What is wrong, and at which code point of the text (from 0)."""

    code: str
    message: str
    offset: int


# What the standard library's parser says -> our code and words; its own words stand where none fit better.
_PLAINER = {
    "Extra data": ("extra_data", "more text after the end of the record: one record per line"),
    "Unterminated string starting at": (
        "cut_short",
        "this string has no end",
    ),
    "Invalid control character at": (
        "control_character",
        r"a raw control character inside a string: write \n, \t or \u00XX",
    ),
    "Invalid \\escape": ("bad_escape", r"a backslash that begins no JSON escape: write \\ for a backslash"),
    "Invalid \\uXXXX escape": ("bad_escape", r"\u without four hex digits after it"),
    "Expecting property name enclosed in double quotes": ("json", "expected a field name in double quotes"),
    "Expecting value": ("json", "expected a value"),
}
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|$)'
# Stretches that need no second look: text outside numbers and names, strings, numbers of modest size.
_PLAIN = re.compile(
    rf'(?:[^"\dNI-]++|{_STRING}|-?\d{{1,200}}+(?:\.\d++)?+(?:[eE](?:-\d++|\+?\d{{1,2}}+))?+(?![\d.eE]))*+',
    re.DOTALL | re.ASCII,
)
_ODD = re.compile(r"(?P<constant>NaN|-?Infinity)|(?P<number>-?\d[\d.eE+-]*+)|.", re.DOTALL | re.ASCII)
_HIGH, _LOW = "[dD][89abAB][0-9a-fA-F]{2}", "[dD][c-fC-F][0-9a-fA-F]{2}"
_PAIRED = re.compile(rf"(?:[^\\]++|\\(?!u[dD][89a-fA-F]).|\\u{_HIGH}\\u{_LOW})*+", re.DOTALL)
_LONE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
# Where the standard library's parser stops inside what was meant as a number, such as 01, 1. or +1.
_NUMBER_START = re.compile(r"[-+.\w]*\Z", re.ASCII)
_NUMBER_LIKE = re.compile(r"[-+.]*\d[-+.\w]*|-+(?=[\s,}\]]|\Z)", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*+)(?:\.\d++)?+(?:[eE][-+]?\d++)?+", re.ASCII)
_PYTHON = re.compile(r"'|(?:True|False|None)\b")
# What git writes around the sides of a conflict, one mark to a line.
_CONFLICT = re.compile(r"(?:<{7}|>{7}|\|{7}) |={7}\s*\Z")
_COMMENT = re.compile(r"//|/\*|#")
_WORD = re.compile(r"\w+")
_CUT_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,4})?")
_SPACE = " \t\r\n"
_PIECE = 1 << 20
_NEAR = 400  # characters looked at around a fault
_SHOWN_DIGITS = 24


def first_fault(text: str) -> Fault | None:
    """The first thing that is wrong with JSON text, or None where nothing is."""
    if text.startswith("\ufeff"):
        return Fault("bom_inside", "a byte order mark inside the file: files were joined; remove it", 0)
    conflict = _CONFLICT.match(text)
    if conflict:
        message = f"{conflict[0].rstrip()} is a merge conflict marker; resolve the conflict"
        return Fault("merge_conflict", message, 0)
    deep = _too_deep(text)
    fault = _grammar_fault(text if deep is None else text[: deep.offset])
    if deep is not None and (fault is None or fault.offset >= deep.offset):
        fault = deep
    lenient = _too_lenient(text, len(text) if fault is None else fault.offset)
    return lenient or fault


def shallow(levels: int) -> Any:
    """The type of JSON values with at most so many lists and objects inside one another."""
    scalar = str | int | float | bool | None
    value: Any = scalar
    for _ in range(levels):
        value = Union[scalar, list[value], dict[str, value]]  # noqa: UP007 (a type made at run time)
    return value


def depth_of(value: object) -> int:
    """How many lists and objects stand inside one another."""
    depth = 0
    level = [value]
    while level := [part for part in level if isinstance(part, dict | list)]:
        depth += 1
        level = [inner for part in level for inner in (part.values() if isinstance(part, dict) else part)]
    return depth


def _too_deep(text: str) -> Fault | None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return None
    nesting = Nesting()
    for start in range(0, len(text), _PIECE):
        raw = text[start : start + _PIECE].encode(errors="surrogatepass")
        places, depths = nesting.feed(raw)
        deep = places[depths > MAX_DEPTH]
        if len(deep):
            offset = start + len(raw[: deep[0]].decode(errors="surrogatepass"))
            return Fault("too_deep", f"lists and objects are nested more than {MAX_DEPTH} deep", offset)
    return None


def _grammar_fault(text: str) -> Fault | None:
    try:
        # Numbers stay text: how long one is matters nothing here.
        json.loads(text, parse_int=str, parse_float=str)
    except json.JSONDecodeError as bad:
        return _plainer(bad)
    return None


def _plainer(bad: json.JSONDecodeError) -> Fault:
    text, offset = bad.doc, bad.pos
    comma = _trailing_comma(text, offset)
    if comma is not None:
        return Fault("trailing_comma", "a comma with nothing after it; remove it", comma)
    if text.startswith("\ufeff", offset):
        return Fault("bom_inside", "a byte order mark inside the line; remove it", offset)
    code, message = next(
        (ours for theirs, ours in _PLAINER.items() if bad.msg.startswith(theirs)),
        ("json", bad.msg[:1].lower() + bad.msg[1:]),
    )
    if code == "bad_escape":
        # Parsers name one of several places in an escape, and stop at one that the text's end cuts off.
        offset = text.rfind("\\", 0, offset + 1)
        if _CUT_ESCAPE.fullmatch(text, offset):
            return Fault("cut_short", _PLAINER["Unterminated string starting at"][1], offset)
    elif code in ("json", "extra_data"):
        return _bad_number(text, offset) or _misplaced(text, offset, code, message)
    return Fault(code, message, offset)


def _misplaced(text: str, offset: int, code: str, message: str) -> Fault:
    """Something stands where the grammar has something else."""
    left = text[offset : offset + _NEAR].rstrip(_SPACE)
    if not left:
        code = "cut_short"
    elif _COMMENT.match(left):
        code, message = "json", f"JSON has no comments; remove the one that begins with {left[:2].rstrip()}"
    elif code == "extra_data":
        if left == ",":
            return Fault("trailing_comma", "a comma after the record; remove it", offset)
    elif _PYTHON.match(left):
        code = "python_notation"
        message += "; this is Python's notation: write records with json.dumps"
    else:
        message += f", found {_first_of(left)}"
    return Fault(code, message, offset)


def _first_of(text: str) -> str:
    """What text begins with: a word, or one character; quoted, and written out where it is not seen."""
    word = _WORD.match(text)
    return repr(_short(word[0]) if word else text[0])


def _bad_number(text: str, offset: int) -> Fault | None:
    """What was meant as a number around `offset`, unless it is a good one in the wrong place."""
    before = _NUMBER_START.search(text, max(offset - _NEAR, 0), offset)
    start = before.start() if before else offset
    meant = _NUMBER_LIKE.match(text, start)
    if meant is None or meant.end() < offset or _NUMBER.fullmatch(meant[0]):
        return None
    return Fault("bad_number", f"{_short(meant[0])} is not a JSON number", start)


def _trailing_comma(text: str, offset: int) -> int | None:
    """Where the comma is that has no element after it; older and newer parsers stop at other places."""
    if text.startswith(",", offset):
        after = text[offset + 1 : offset + _NEAR].lstrip(_SPACE)
        return offset if after.startswith(("}", "]")) and _is_after_value(text, offset) else None
    if not text.startswith(("}", "]"), offset):
        return None
    before = text[:offset].rstrip(_SPACE)
    return len(before) - 1 if before.endswith(",") and _is_after_value(text, len(before) - 1) else None


def _is_after_value(text: str, comma: int) -> bool:
    before = text[max(comma - _NEAR, 0) : comma].rstrip(_SPACE)
    return bool(before) and before[-1] not in ",:[{"


def _too_lenient(text: str, end: int) -> Fault | None:
    """What the standard library takes for JSON and is not: the first before `end`."""
    position = _end_of(_PAIRED, text, 0, end)
    lone = _LONE.match(text, position, end)
    if lone:
        message = f"{lone[0]} is half a surrogate pair, which is no character"
        return _odd_number(text, position) or Fault("lone_surrogate", message, position)
    return _odd_number(text, end)


def _odd_number(text: str, end: int) -> Fault | None:
    position = 0
    while (position := _end_of(_PLAIN, text, position, end)) < end:
        odd = _ODD.match(text, position, end)
        if odd is None:
            break
        if constant := odd["constant"]:
            message = f"{constant} is not JSON; write null, or drop the record"
            return Fault("not_json_constant", message, position)
        if odd["number"] and _overflows(odd["number"]):
            message = f"{_short(odd['number'])}: a number that is too large"
            return Fault("number_out_of_range", message, position)
        position = odd.end()
    return None


def _end_of(pattern: re.Pattern[str], text: str, start: int, end: int) -> int:
    found = pattern.match(text, start, end)
    return found.end() if found else start


def _overflows(number: str) -> bool:
    """Whether a number is good JSON and the decoder refuses it all the same."""
    if not _NUMBER.fullmatch(number):
        return False
    try:
        msgspec.json.decode(number)
    except msgspec.MsgspecError:
        return True
    return False


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_DIGITS else f"{text[:_SHOWN_DIGITS]}..."
