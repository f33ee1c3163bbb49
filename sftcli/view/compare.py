"""Two rows of one record laid side by side: blocks in which nothing differs, or one thing does."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Literal, NamedTuple

from sftcli.view.align import LINES, Match, Unit, align
from sftcli.view.page import Screen
from sftcli.view.row import RowView
from sftcli.view.row_line import RowLine

# What differs in a block; "" where nothing does.
Sign = Literal["", "text", "mask", "split"]

_CHANCE = 12  # characters


class Block(NamedTuple):
    """Characters of both rows that are laid side by side."""

    sign: Sign
    left: tuple[int, int]
    right: tuple[int, int]


class Side:
    """One of the two rows: where its mask changes and its tokens begin."""

    def __init__(self, view: RowView, screen: Screen) -> None:
        self.view = view
        self.line = RowLine(view, screen)
        self.borders = self.line.starts[1:-1]
        self.states: list[tuple[bool, bool]] = []  # (trained, padding) from each change on
        self.changes: list[int] = []
        for token in view.tokens:
            state = (token.trained, token.padding)
            if token.group and (not self.states or self.states[-1] != state):
                self.changes.append(self.line.starts[token.i])
                self.states.append(state)

    def state(self, place: int) -> tuple[bool, bool]:
        """(trained, padding) of the character at `place`."""
        return self.states[bisect_right(self.changes, place) - 1]

    def units(self) -> list[Unit]:
        units: list[Unit] = []
        for (padding, control), same in groupby(
            self.view.tokens, lambda token: (token.padding, token.control)
        ):
            tokens = list(same)
            texts = [token.text for token in tokens]
            if padding or not control:
                units.append(Unit("".join(texts), self.line.starts[tokens[0].i], padding))
            else:
                units += [Unit(token.text, self.line.starts[token.i], True) for token in tokens]
        return units

    def is_template(self, place: int) -> bool:
        """Whether it is known that the character at `place` is the template's."""
        index = self.token_at(place)
        return index < len(self.view.tokens) and self.view.tokens[index].origin == "template"

    def token_at(self, place: int) -> int:
        """The token that the character at `place` is in."""
        return max(bisect_right(self.line.starts, place) - 1, 0)


def compare(left: Side, right: Side) -> Iterator[Block]:
    """The rows laid side by side; within a block whose text is the same the mask is one on each side."""
    for match in _without_chance(align(left.units(), right.units()), left, right):
        if not match.same:
            yield Block("text", (match.left_start, match.left_stop), (match.right_start, match.right_stop))
            continue
        starts = _mask_starts(left, right, match)
        for start, stop in pairwise([*starts, match.left_stop - match.left_start]):
            spans = [(begin + start, begin + stop) for begin in (match.left_start, match.right_start)]
            if left.state(spans[0][0]) != right.state(spans[1][0]):
                yield Block("mask", spans[0], spans[1])
            else:
                yield from _by_tokens(left, right, spans[0], spans[1])


def _without_chance(matches: list[Match], left: Side, right: Side) -> Iterator[Match]:
    """The matches; not where a word of template text is the same by chance."""
    held: Match | None = None
    for index, given in enumerate(matches):
        short = len(left.line.text[given.left_start : given.left_stop].strip()) < _CHANCE
        inside = 0 < index < len(matches) - 1
        template = left.is_template(given.left_start) or right.is_template(given.right_start)
        match = given._replace(same=given.same and not (short and inside and template))
        if held is not None and not held.same and not match.same:
            held = held._replace(left_stop=match.left_stop, right_stop=match.right_stop)
            continue
        if held is not None:
            yield held
        held = match
    if held is not None:
        yield held


def _by_tokens(left: Side, right: Side, one: tuple[int, int], other: tuple[int, int]) -> list[Block]:
    """The same text with the same mask: the lines that are cut into other tokens, and the rest."""
    found: list[Block] = []
    shift = other[0] - one[0]
    for part in LINES.finditer(left.line.text, *one):
        start, stop = part.span()
        # A token may lie across a line break, so that a border at the line's own start counts.
        first = start - (start > one[0])
        same = _inner(left, (first, stop)) == _inner(right, (first + shift, stop + shift))
        sign: Sign = "" if same else "split"
        if found and found[-1].sign == sign:
            start = found.pop().left[0]
        found.append(Block(sign, (start, stop), (start + shift, stop + shift)))
    return found


def _mask_starts(left: Side, right: Side, match: Match) -> list[int]:
    """Where, from the start of a match on, either mask changes."""
    starts = {0}
    for side, begin, stop in (
        (left, match.left_start, match.left_stop),
        (right, match.right_start, match.right_stop),
    ):
        inside = side.changes[bisect_right(side.changes, begin) : bisect_left(side.changes, stop)]
        starts.update(place - begin for place in inside)
    return sorted(starts)


def _inner(side: Side, span: tuple[int, int]) -> list[int]:
    """Where tokens begin inside a span, counted from its start."""
    first, last = bisect_right(side.borders, span[0]), bisect_left(side.borders, span[1])
    return [place - span[0] for place in side.borders[first:last]]
