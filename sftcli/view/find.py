"""Text that rows are searched for: one row's, or that of a shard's rows all at once."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import numpy.typing as npt

from sftcli.errors import UsageError
from sftcli.tokenizer import Tokenizer
from sftcli.view.row import RowView, check_ids, token_texts

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
_NO_TEXT = b"\xff"  # stands for a control token: a byte that no text holds


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a row's text must hold: all of `texts`, case as given, and a match of all `patterns`."""

    texts: tuple[str, ...] = ()
    patterns: tuple[re.Pattern[str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.texts or self.patterns)

    def is_in(self, text: str) -> bool:
        return all(wanted in text for wanted in self.texts) and all(
            pattern.search(text) for pattern in self.patterns
        )

    def places_in(self, text: str) -> list[tuple[int, int]]:
        """Where it stands in a text: (first character, past the last), in order; what overlaps is one."""
        patterns = (*(re.compile(re.escape(wanted)) for wanted in self.texts), *self.patterns)
        matches = sorted(match.span() for pattern in patterns for match in pattern.finditer(text))
        places: list[tuple[int, int]] = []
        for start, stop in matches:
            if places and start < places[-1][1]:
                places[-1] = places[-1][0], max(stop, places[-1][1])
            elif start < stop:
                places.append((start, stop))
        return places


def with_found(view: RowView, wanted: Wanted) -> RowView:
    """The row, and where in its text what is wanted stands; padding is not searched."""
    places: list[tuple[int, int]] = []
    at = 0
    for padding, same in groupby(view.tokens, lambda token: token.padding):
        text = "".join(token.text for token in same)
        if not padding:
            places += [(at + start, at + stop) for start, stop in wanted.places_in(text)]
        at += len(text)
    return replace(view, found=tuple(places))


def compiled(pattern: str) -> re.Pattern[str]:
    """Raises UsageError that says where a regular expression is malformed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # `[[`, which is what it says for now
            return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as problem:
        place = getattr(problem, "pos", None)
        where = f" at character {place + 1}" if place is not None else ""
        reason = getattr(problem, "msg", None) or problem
        raise UsageError(
            f"--find-regex {pattern!r}: not a regular expression{where}: {reason}; "
            "--find looks for the text as it is"
        ) from None


class TokenSearch:
    """Searches rows of token ids as if each were decoded, without doing that one by one."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        import pyarrow as pa

        self._tokenizer = tokenizer
        self._bytes = [tokenizer.token_bytes(token_id) for token_id in range(tokenizer.size)]
        self._all = pa.array(self._bytes, pa.large_binary())
        control = {token.id for token in tokenizer.control_tokens.values()}
        self._ordinary = pa.array(
            [_NO_TEXT if i in control else raw for i, raw in enumerate(self._bytes)], pa.large_binary()
        )

    def holding(self, wanted: Wanted, ids: npt.NDArray[np.integer], offsets: Ints) -> Bools:
        """bool[R]: the rows whose text holds what is wanted; row r is ids[offsets[r]:offsets[r + 1]].

        A row's text is that of its RowView: whole characters, and bytes that are no text as `\\xNN`.
        """
        data, stops = self._joined(self._all, ids, offsets)
        broken = _broken_rows(data, stops)
        found = np.ones(len(offsets) - 1, np.bool_)
        for text in wanted.texts:
            found &= rows_with(text.encode(), data, stops)
        for row in np.flatnonzero(broken).tolist():
            found[row] = wanted.is_in(self._text(ids[offsets[row] : offsets[row + 1]]))
        if wanted.patterns:
            for row in np.flatnonzero(found & ~broken).tolist():
                found[row] = wanted.is_in(data[stops[row] : stops[row + 1]].decode())
        return found

    def with_control_text(self, ids: npt.NDArray[np.integer], offsets: Ints) -> Bools:
        """bool[R]: the rows whose ordinary tokens spell a control token."""
        data, stops = self._joined(self._ordinary, ids, offsets)
        found = np.zeros(len(offsets) - 1, np.bool_)
        names = _control_names(self._tokenizer)
        # Most data holds not even the first two characters of any.
        if any(opening in data for opening in {name[:2] for name in names}):
            spelled = re.compile(b"|".join(map(re.escape, names)))
            match = spelled.search(data)
            while match:
                row = int(np.searchsorted(stops, match.start(), "right")) - 1
                inside = match.end() <= stops[row + 1]
                found[row] |= inside
                # What reaches into the next row may hide one that begins there.
                match = spelled.search(data, match.end() if inside else match.start() + 1)
        return found

    def _joined(self, table: object, ids: npt.NDArray[np.integer], offsets: Ints) -> tuple[bytes, Ints]:
        """All rows' bytes end to end, and int64[R + 1]: where in them each row begins and ends."""
        import pyarrow as pa
        import pyarrow.compute as pc

        check_ids(self._tokenizer, ids)
        taken = pc.take(table, pa.array(ids))
        token_stops = np.frombuffer(taken.buffers()[1], np.int64)[: len(ids) + 1]
        data = taken.buffers()[2]
        return (data.to_pybytes()[: int(token_stops[-1])] if data else b""), token_stops[offsets]

    def _text(self, ids: npt.NDArray[np.integer]) -> str:
        return "".join(text for text, _ in token_texts([self._bytes[token_id] for token_id in ids.tolist()]))


def has_control_text(tokenizer: Tokenizer, ids: Sequence[int]) -> bool:
    """Whether a row's ordinary tokens spell a control token; one row needs no TokenSearch."""
    control = {token.id for token in tokenizer.control_tokens.values()}
    data = b"".join(_NO_TEXT if i in control else tokenizer.token_bytes(i) for i in ids)
    return any(name in data for name in _control_names(tokenizer))


def _control_names(tokenizer: Tokenizer) -> list[bytes]:
    """The longest first, so that it wins over its own beginning."""
    return sorted((name.encode() for name in tokenizer.control_tokens), key=len, reverse=True)


def rows_with(text: bytes, data: bytes, stops: Ints) -> Bools:
    """bool[R]: the rows that hold `text`; row r is data[stops[r]:stops[r + 1]].

    UTF-8 is such that whole characters match only whole characters.
    """
    found = np.zeros(len(stops) - 1, np.bool_)
    place = data.find(text)
    while place >= 0:
        row = int(np.searchsorted(stops, place, "right")) - 1
        if row < len(found) and place + len(text) <= stops[row + 1]:
            found[row] = True
            place = data.find(text, int(stops[row + 1]))  # one is enough
        else:
            place = data.find(text, place + 1)  # it reaches into the next row
    return found


def _broken_rows(data: bytes, stops: Ints) -> Bools:
    """bool[R]: the rows whose bytes are not UTF-8 from end to end."""
    rows = len(stops) - 1
    try:
        data.decode()
    except UnicodeDecodeError:
        return np.array([_is_broken(data[stops[row] : stops[row + 1]]) for row in range(rows)], np.bool_)
    # Of text that is whole, a row can only break a character in two at its ends.
    first = np.frombuffer(data + b"\0", np.uint8)[stops]
    cut = (first & 0xC0) == 0x80
    broken: Bools = cut[:-1] | cut[1:]
    return broken


def _is_broken(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return True
    return False


def id_readings(wanted: Sequence[str]) -> dict[str, set[str]]:
    """The values that `--id` looks for, by their keys: an id may hold an `=` itself."""
    found: dict[str, set[str]] = {}
    for text in wanted:
        key, equals, value = text.partition("=")
        found.setdefault("id", set()).add(text)
        if equals:
            found.setdefault(key, set()).add(value)
    return found


def id_text(value: object) -> str | None:
    """A record's id as text, None where it is no text and no number."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
