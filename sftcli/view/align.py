"""Two texts -> where they are the same: first by long lines, then by words, then by what is left."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

LINES = re.compile(r"[^\n]*\n|[^\n]+")
_WORDS = re.compile(r"\w+|\s|[^\w\s]")
_LONG = 8  # characters

_Key = tuple[bool, str]
_Junk = Callable[[_Key], bool]
_Level = tuple[re.Pattern[str], _Junk | None]


class Unit(NamedTuple):
    """What is compared as a whole; `whole`: a control token, which no text equals."""

    text: str
    start: int
    whole: bool = False

    @property
    def key(self) -> _Key:
        return self.whole, self.text

    @property
    def stop(self) -> int:
        return self.start + len(self.text)


class Match(NamedTuple):
    """Characters `left_start` to `left_stop` of one text beside those of the other; `same` if equal."""

    same: bool
    left_start: int
    left_stop: int
    right_start: int
    right_stop: int


def align(left: Sequence[Unit], right: Sequence[Unit]) -> list[Match]:
    """The matches of two texts in order; together they cover both.

    A unit is a stretch of text or a control token; the units of a text leave no gaps.
    """
    found: list[Match] = []
    for same, lefts, rights in _refined(left, right, _LEVELS):
        _add(found, same, lefts, rights)
    return found


def _is_short(key: _Key) -> bool:
    """Whether a line says little about which part of the text it is from."""
    return key[0] or len(key[1].strip()) < _LONG


def _is_control(key: _Key) -> bool:
    return key[0]


# How the text is cut, and what matches only beside something that has matched: every turn has the
# same control tokens, so that they would lay one turn beside another.
_LEVELS: tuple[_Level, ...] = (
    (LINES, _is_short),
    (_WORDS, _is_control),
    (_WORDS, None),
)


def _refined(
    left: Sequence[Unit], right: Sequence[Unit], levels: Sequence[_Level]
) -> Iterator[tuple[bool, Sequence[Unit], Sequence[Unit]]]:
    if not (left and right and levels):
        yield False, left, right
        return
    (pattern, junk), *finer = levels
    for same, lefts, rights in _matched(_split(left, pattern), _split(right, pattern), junk):
        if same:
            yield True, lefts, rights
        else:
            yield from _refined(lefts, rights, finer)


def _split(units: Iterable[Unit], pattern: re.Pattern[str]) -> list[Unit]:
    found = []
    for unit in units:
        if unit.whole:
            found.append(unit)
        else:
            found += [Unit(part[0], unit.start + part.start()) for part in pattern.finditer(unit.text)]
    return found


def _matched(
    left: list[Unit], right: list[Unit], junk: _Junk | None
) -> Iterator[tuple[bool, list[Unit], list[Unit]]]:
    """Stretches of units that are the same and that are not, in turn."""
    a, b = [unit.key for unit in left], [unit.key for unit in right]
    # Most rows differ in few places; the matcher's time grows with the product of the lengths.
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    left_end, right_end = len(a) - tail, len(b) - tail
    if head:
        yield True, left[:head], right[:head]
    for tag, i, j, k, m in SequenceMatcher(junk, a[head:left_end], b[head:right_end]).get_opcodes():
        yield tag == "equal", left[head + i : head + j], right[head + k : head + m]
    if tail:
        yield True, left[left_end:], right[right_end:]


def _add(found: list[Match], same: bool, left: Sequence[Unit], right: Sequence[Unit]) -> None:
    """Put a match behind the others, as one with the last where both are alike."""
    last = found[-1] if found else Match(same, 0, 0, 0, 0)
    left_stop = left[-1].stop if left else last.left_stop
    right_stop = right[-1].stop if right else last.right_stop
    if found and last.same == same:
        found[-1] = last._replace(left_stop=left_stop, right_stop=right_stop)
    else:
        found.append(Match(same, last.left_stop, left_stop, last.right_stop, right_stop))
