"""Bytes of one line -> record. Good lines take one call; what follows only explains bad ones."""

import json
import re
from typing import Any

import msgspec

from sftcli.errors import RecordError
from sftcli.parse.failure import type_name
from sftcli.read import LINE_TOO_LONG, MAX_LINE_BYTES

Record = dict[str, Any]

_decode = msgspec.json.Decoder().decode
# What msgspec raises for text that is no JSON.
DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
# What the standard library's parser says -> what we say; its own words stand where none fit better.
_PLAINER = {
    "Extra data": "more text after the end of the record: one record per line",
    "Unterminated string starting at": "this string has no end: the line was cut short or broken in two",
    "Invalid control character at": r"a raw control character inside a string: write \n, \t or \u00XX",
    "Expecting property name enclosed in double quotes": "expected a field name in double quotes",
    "Illegal trailing comma before end of object": "expected a field name in double quotes",
    "Expecting value": "expected a value",
}
# One token of JSON text, for finding the first one of a kind.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|(?P<constant>NaN|-?Infinity)|(?P<number>-?\d[\d.eE+-]*)', re.DOTALL)
_HIGH, _LOW = "[dD][89abAB][0-9a-fA-F]{2}", "[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rf"\\(?:u{_HIGH}\\u{_LOW}|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{{2}})|.)", re.DOTALL)


def decode_line(raw: bytes) -> Record | None:
    """The JSON object on a line, or None for a blank line.

    Raises RecordError `utf8`, `json`, `not_object` or `line_too_long`, with its column.
    """
    try:
        record = _decode(raw)
    except DECODE_ERRORS as problem:
        if not raw or raw.isspace():
            return None
        raise _bad_line(raw, problem) from None
    if type(record) is not dict:
        column = len(raw) - len(raw.lstrip()) + 1
        raise RecordError(
            "not_object", f"expected an object {{...}}, found {type_name(record)}", column=column
        )
    return record


def _bad_line(raw: bytes, problem: Exception) -> RecordError:
    if raw == LINE_TOO_LONG:
        limit = MAX_LINE_BYTES >> 20
        return RecordError("line_too_long", f"the line is longer than {limit} MiB", column=1)
    try:
        text = raw.decode()
    except UnicodeDecodeError as bad:
        column = len(raw[: bad.start].decode()) + 1
        message = f"byte 0x{raw[bad.start]:02x} is not UTF-8 ({bad.reason}); convert the file to UTF-8"
        return RecordError("utf8", message, column=column)
    message, offset = explain(text, problem)
    if offset >= len(text.rstrip()):
        message += "; the line ends here: it was cut short, or one record spans several lines"
    return RecordError("json", message, column=offset + 1)


def explain(text: str, problem: Exception) -> tuple[str, int]:
    """What is wrong with JSON text, and at which code point; `problem` is one of DECODE_ERRORS."""
    if isinstance(problem, RecursionError):
        return "lists and objects are nested too deeply", 0
    if text.startswith("\ufeff"):
        return "a byte order mark inside the file: files were joined; remove it", 0
    try:
        json.loads(text)
    except json.JSONDecodeError as bad:
        return _plainer(bad)
    except (ValueError, RecursionError):
        pass  # a number of thousands of digits, or an end too deep to reach
    return _too_lenient(text) or _decoder_words(str(problem), text)


def _plainer(bad: json.JSONDecodeError) -> tuple[str, int]:
    message = next((ours for theirs, ours in _PLAINER.items() if bad.msg.startswith(theirs)), None)
    message = message or bad.msg[:1].lower() + bad.msg[1:]
    if bad.doc.startswith(("'", "True", "False", "None"), bad.pos):
        message += "; this is Python's notation: write records with json.dumps"
    return message, bad.pos


def _too_lenient(text: str) -> tuple[str, int] | None:
    """What the standard library takes for JSON and is not."""
    for token in _TOKEN.finditer(text):
        if token["constant"]:
            return f"{token['constant']} is not JSON; write null, or drop the record", token.start()
        if token["number"] and _overflows(token["number"]):
            return "a number that is too large", token.start()
    for escape in _ESCAPE.finditer(text):
        if escape["lone"]:
            return f"\\{escape['lone']} is half a surrogate pair, which is no character", escape.start()
    return None


def _overflows(number: str) -> bool:
    try:
        return float(number) in (float("inf"), float("-inf"))
    except ValueError:
        return False


def _decoder_words(words: str, text: str) -> tuple[str, int]:
    place = re.search(r" ?\(byte (\d+)\)$", words)
    if not place:
        return words, 0
    return words[: place.start()], len(text.encode()[: int(place[1])].decode(errors="ignore"))
