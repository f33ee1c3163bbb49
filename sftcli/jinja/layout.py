"""A rendered conversation, read as data (holes) in template text."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

from sftcli.jinja.origin import NOBODY
from sftcli.jinja.tracked import runs_of


class Hole(NamedTuple):
    """A stretch of data: `start` and `stop` are places in the whole text."""

    start: int
    stop: int
    turn: int
    field: str


class _Parts(NamedTuple):
    text: str
    holes: tuple[Hole, ...]
    marks: tuple[tuple[int, int, int], ...]  # start, stop, number of the block
    places: tuple[Hole, ...]


class Layout(_Parts):
    """`holes` in order of the text; `marks` are generation blocks; `places` where empty data went."""

    def before(self, place: int) -> int:
        """Where the template text that ends at `place` begins."""
        number = self.ended_by(place)
        return self.holes[number - 1].stop if number else 0

    def after(self, place: int) -> int:
        """Where the template text that begins at `place` ends."""
        number = self.begun_before(place)
        return self.holes[number].start if number < len(self.holes) else len(self.text)

    def of(self, turn: int) -> list[Hole]:
        return [self.holes[number] for number in self.numbers.get(turn, ())]

    def ended_by(self, place: int) -> int:
        """How many holes have ended at `place`."""
        return bisect_right(self._stops, place)

    def begun_before(self, place: int) -> int:
        """How many holes have begun before `place`."""
        return bisect_left(self._starts, place)

    @cached_property
    def numbers(self) -> dict[int, list[int]]:
        """Which of the holes are of each turn."""
        found: dict[int, list[int]] = {}
        for number, hole in enumerate(self.holes):
            found.setdefault(hole.turn, []).append(number)
        return found

    @cached_property
    def places_of(self) -> dict[int, list[Hole]]:
        """The places of each turn."""
        found: dict[int, list[Hole]] = {}
        for place in self.places:
            found.setdefault(place.turn, []).append(place)
        return found

    @cached_property
    def _starts(self) -> list[int]:
        return [hole.start for hole in self.holes]

    @cached_property
    def _stops(self) -> list[int]:
        return [hole.stop for hole in self.holes]

    def skeleton(self) -> tuple[object, ...]:
        """What is left when the data is taken out: equal for rows that the template lays out alike."""
        parts: list[object] = []
        at = 0
        for start, stop, turn, field in self.holes:
            parts += (self.text[at:start], turn, field)
            at = stop
        parts.append(self.text[at:])
        return tuple(parts)


def read_layout(rendered: str) -> Layout:
    """The layout of a rendered text."""
    holes: list[Hole] = []
    places: list[Hole] = []
    marks: list[tuple[int, int, int]] = []
    at = last_block = 0
    for length, (turn, field, block) in runs_of(rendered):
        stop = at + length
        if block:
            if marks and marks[-1][2] == block:
                marks[-1] = (marks[-1][0], stop, block)
            else:
                marks.append((at, stop, block))
        if turn != NOBODY:
            if not length:
                places.append(Hole(at, at, turn, field))
            elif holes and block == last_block and holes[-1][1:] == (at, turn, field):
                holes[-1] = Hole(holes[-1][0], stop, turn, field)
            else:
                holes.append(Hole(at, stop, turn, field))
        at, last_block = stop, block
    return Layout(str.__getitem__(rendered, slice(None)), tuple(holes), tuple(marks), tuple(places))


class Markers:
    """Cuts template text into markers (control tokens, other added tokens, tags) and characters."""

    def __init__(self, control: Iterable[str], added: Iterable[str]) -> None:
        self.control = frozenset(control)
        known = sorted({*self.control, *added}, key=len, reverse=True)
        self._pattern = re.compile("|".join([*map(re.escape, known), r"<[^<>\s]{1,60}>", "."]), re.DOTALL)

    def cut(self, text: str) -> list[str]:
        return self._pattern.findall(text)

    def common(self, texts: Sequence[str]) -> str:
        """The longest text that all of them begin with and that cuts no marker."""
        shared: list[str] = []
        for column in zip(*map(self.cut, texts), strict=False):
            if any(item != column[0] for item in column):
                break
            shared.append(column[0])
        return "".join(shared)

    def last_control(self, text: str) -> tuple[int, int] | None:
        """Where the last control token of a text stands."""
        at, found = 0, None
        for item in self.cut(text):
            if item in self.control:
                found = (at, at + len(item))
            at += len(item)
        return found

    def first_control(self, text: str) -> tuple[int, int] | None:
        at = 0
        for item in self.cut(text):
            if item in self.control:
                return at, at + len(item)
            at += len(item)
        return None
