"""Bytes of lines -> records. Good lines take one call; what follows only explains bad ones."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import msgspec
import numpy as np

from sftcli.errors import RecordError
from sftcli.json_text import DECODE_ERRORS, MAX_DEPTH, depth_of, first_fault, shallow
from sftcli.parse.failure import type_name
from sftcli.parse.keys import check_keys, has_keys, most_keys
from sftcli.parse.reads import ANY_FORMAT, Reads
from sftcli.read import LINE_TOO_LONG, MAX_LINE_BYTES, is_blank

Record = dict[str, Any]

_ENDS_HERE = "; the line ends here: it was cut short, or one record spans several lines"
_LEVELS = 6  # as deep as most records are: to ask for no more costs the decoder nothing
_LINES_AT_ONCE = 700  # what they need beside them stays in the cache

_decode = msgspec.json.Decoder(dict[str, shallow(_LEVELS - 1)]).decode  # type: ignore[misc]
_decode_any = msgspec.json.Decoder().decode


def decode_line(raw: bytes, reads: Reads = ANY_FORMAT) -> Record | None:
    """The JSON object on a line, or None for a blank line.

    Raises RecordError with its column: `utf8`, `line_too_long`, `not_object`, `too_deep` (over 128),
    `duplicate_key` (of the keys that `reads` holds), or what `first_fault` finds.
    """
    record = _decode_alone(raw)
    if record is not None and raw.count(b":") != len(record):
        check_keys(raw, reads)
    return record


def records_in(lines: Iterable[bytes]) -> Iterator[tuple[int, Record]]:
    """The lines that are JSON objects, each with its index; what is wrong with others is not looked at."""
    for index, raw in enumerate(lines):
        try:
            record = _decode_any(raw)
        except DECODE_ERRORS:
            continue
        if type(record) is dict:
            yield index, record


def decode_lines(
    lines: Sequence[bytes], reads: Reads = ANY_FORMAT, whole: bytes | None = None
) -> list[Record | RecordError | None]:
    """What `decode_line` returns or raises for each line: much less work than one after the other.

    `whole` is what the lines were split from, if it is there; they are put together again if not.
    """
    records: list[Record | RecordError | None] = []
    begin = 0  # in `whole`
    for start in range(0, len(lines), _LINES_AT_ONCE):
        some = lines[start : start + _LINES_AT_ONCE]
        found: list[Record | RecordError | None]
        keys: Iterable[int]
        try:
            found = list(map(_decode, some))
            keys = map(len, cast(list[Record], found))
        except DECODE_ERRORS:
            found = [_decode_or_error(raw) for raw in some]
            keys = (len(record) if isinstance(record, dict) else 0 for record in found)
        lengths = np.fromiter(map(len, some), np.int64, len(some))
        end = begin + int(lengths.sum()) + len(some) - 1
        counts = most_keys(b"\n".join(some) if whole is None else whole[begin:end], lengths)
        begin = end + 1
        odd = np.flatnonzero(np.fromiter(keys, np.int64, len(some)) != counts)
        for index, most in zip(odd.tolist(), counts[odd].tolist(), strict=True):
            record = found[index]
            if isinstance(record, dict) and not has_keys(record, most):
                found[index] = _checked_or_error(some[index], record, reads)
        records += found
    return records


def _decode_or_error(raw: bytes) -> Record | RecordError | None:
    try:
        return _decode_alone(raw)
    except RecordError as problem:
        return problem


def _checked_or_error(raw: bytes, record: Record, reads: Reads) -> Record | RecordError:
    try:
        check_keys(raw, reads)
    except RecordError as problem:
        return problem
    return record


def _decode_alone(raw: bytes) -> Record | None:
    if is_blank(raw):
        return None
    try:
        record: Record = _decode(raw)
        return record
    except DECODE_ERRORS:
        pass
    try:
        record = _decode_any(raw)
    except DECODE_ERRORS as problem:
        raise _bad_line(raw, problem) from None
    if type(record) is not dict:
        column = len(raw) - len(raw.lstrip()) + 1
        message = f"expected an object {{...}}, found {type_name(record)}"
        raise RecordError("not_object", message, column=column)
    if depth_of(record) > MAX_DEPTH:
        raise _bad_line(raw, None)
    return record


def _bad_line(raw: bytes, problem: Exception | None) -> RecordError:
    if raw == LINE_TOO_LONG:
        limit = MAX_LINE_BYTES >> 20
        return RecordError("line_too_long", f"the line is longer than {limit} MiB; no record is", column=1)
    try:
        text = raw.decode()
    except UnicodeDecodeError as bad:
        column = len(raw[: bad.start].decode()) + 1
        cure = "convert the file, such as with iconv -f WINDOWS-1252 -t UTF-8"
        message = f"byte 0x{raw[bad.start]:02x} is not UTF-8 ({bad.reason}); {cure}"
        return RecordError("utf8", message, column=column)
    fault = first_fault(text)
    if fault is None:
        return RecordError("json", str(problem), column=1)
    code, message, offset = fault
    if code == "cut_short":
        at_end = offset >= len(text.rstrip())
        message += _ENDS_HERE if at_end else ": the line was cut short or broken in two"
    return RecordError(code, message, column=offset + 1)
