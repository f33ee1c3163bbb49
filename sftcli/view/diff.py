"""Two RowViews of one record -> what differs: text, mask, or where tokens begin."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, zip_longest
from textwrap import wrap
from typing import NamedTuple

from sftcli.view.cells import Cell, fenced, fold, one_line, width_of
from sftcli.view.compare import Block, Side, Sign, compare
from sftcli.view.heading import joined, note_lines, number, title
from sftcli.view.page import Screen, mark_ends, mask_bar, painted, without_end
from sftcli.view.row import RowView, TokenView
from sftcli.view.row_line import note, width

_SIDE_BY_SIDE = 100  # from how many columns on
_MOST_COLUMNS = 200
_AROUND = 2  # lines shown at either end of a long stretch that is the same
_LONGEST_NAME = 28

_MEANING = {
    "text": "the text differs",
    "mask": "the mask differs",
    "split": "the same text is split otherwise",
}


class _Line(NamedTuple):
    trained: bool
    cells: list[Cell]


def show_diff(left: RowView, right: RowView, names: tuple[str, str], screen: Screen, doubt: str = "") -> str:
    """What differs between two rows that were made of one record; `names` tell them apart.

    `doubt`: why they may be of two records, where that is not sure. Where the rows are from is told
    of both if it differs.
    Side by side from 100 columns on, one below the other on less. Long stretches in which nothing
    differs are cut in the middle, with the number of lines that are left out.
    """
    first, second = _clipped(names[0], screen), _clipped(names[1], screen)
    lines = [
        *_titles(left, right, (first, second), doubt, screen),
        "",
        *_summary(left, right, (first, second)),
        "",
    ]
    for name, view in ((first, left), (second, right)):
        if noted := [*([f"dropped ({view.dropped})"] if view.dropped else []), *view.marks]:
            lines.append(f"{screen.warn(f'! {name}')}: {one_line(', '.join(noted), screen.ascii_only)}")
    if _same(left, right):
        return "\n".join(
            [*lines, *wrap("same: every id, label and padding token is equal in both", screen.width)]
        )
    sides = Side(left, screen), Side(right, screen)
    blocks = list(compare(*sides))
    lines += _findings(sides, blocks, (first, second), screen)
    if screen.width >= _SIDE_BY_SIDE:
        lines += ["", *_beside(sides, blocks, (first, second), screen)]
    else:
        lines += ["", *_below(sides, blocks, (first, second), screen)]
    return "\n".join(lines)


def _titles(left: RowView, right: RowView, names: tuple[str, str], doubt: str, screen: Screen) -> list[str]:
    one, other = title(left, screen), title(right, screen)
    found = [one] if one == other else [f"- {names[0]}: {one}", f"+ {names[1]}: {other}"]
    return found + (note_lines("pairs", f"these may be two records: {doubt}", screen) if doubt else [])


def _same(left: RowView, right: RowView) -> bool:
    return left.documents == right.documents and _facts(left) == _facts(right)


def _facts(view: RowView) -> list[tuple[int, int, bool]]:
    return [(token.id, token.label, token.padding) for token in view.tokens]


def _summary(left: RowView, right: RowView, names: tuple[str, str]) -> list[str]:
    """The counts of both, and by how much the second has more."""
    rows = [("", *names, "")]
    counts = left.counts, right.counts
    for name in ("tokens", "trained"):
        one, other = (getattr(count, name) for count in counts)
        rows.append((name, f"{one:,}", f"{other:,}", f"{other - one:+,}" if other != one else "same"))
    widths = [max(width_of(row[column]) for row in rows) for column in range(4)]
    return [
        f"{row[0]:<{widths[0]}}  {_right(row[1], widths[1])}  {_right(row[2], widths[2])}  "
        f"{_right(row[3], widths[3])}".rstrip()
        for row in rows
    ]


def _right(text: str, room: int) -> str:
    return " " * (room - width_of(text)) + text


def _findings(
    sides: tuple[Side, Side], blocks: list[Block], names: tuple[str, str], screen: Screen
) -> list[str]:
    """How often what differs, and where first."""
    signs = [block.sign for block in blocks if block.sign]
    parts = [
        f"{_MEANING[sign]} in {number(signs.count(sign), 'place')}" for sign in _MEANING if sign in signs
    ]
    if not parts:  # the same text, mask and tokens
        return wrap(_unseen(sides), screen.width)
    first = next(block for block in blocks if block.sign)
    left, right = sides[0].token_at(first.left[0]), sides[1].token_at(first.right[0])
    where = f"first: {first.sign}, at token {left:,} of {names[0]} and {right:,} of {names[1]}"
    return [joined(parts, screen), *wrap(where, screen.width)]


def _unseen(sides: tuple[Side, Side]) -> str:
    """What differs although text, mask and tokens are the same."""
    left, right = (side.view for side in sides)
    pairs = list(zip(left.tokens, right.tokens, strict=False))
    ids = sum(one.id != other.id for one, other in pairs)
    labels = sum(one.id == other.id and one.label != other.label for one, other in pairs)
    found = [f"{number(ids, 'id')}"] if ids else []
    found += [number(labels, "label")] if labels else []
    found += ["the bounds of the documents"] if left.documents != right.documents else []
    return f"the same text, mask and token borders; what differs: {', '.join(found)}"


def _beside(
    sides: tuple[Side, Side], blocks: list[Block], names: tuple[str, str], screen: Screen
) -> Iterator[str]:
    bar = width_of(mask_bar(False, replace(screen, color=False))) - screen.color + 1
    room = (min(screen.width, _MOST_COLUMNS) - 9) // 2 - bar
    panel = bar + room
    yield f"{' ' * bar}{names[0]}{' ' * (panel + 9 - width_of(names[0]) - bar)}{' ' * bar}{names[1]}".rstrip()
    for block in blocks:
        lefts = _lines(sides[0], block.left, block.sign, room, screen)
        rights = _lines(sides[1], block.right, block.sign, room, screen)
        for index, (one, other) in enumerate(_folded(list(zip_longest(lefts, rights)), block.sign, screen)):
            text = _panel(one, screen)
            used = bar + width(one.cells) if one else 0
            # At each block's first line the sign, and a bar where it goes on.
            sign = block.sign if index == 0 else screen.marks.bar if block.sign else ""
            middle = screen.warn(f"{sign:<5}") if sign else " " * 5
            yield f"{fenced(text)}{' ' * (panel - used)}  {middle}  {_panel(other, screen)}".rstrip()


def _below(
    sides: tuple[Side, Side], blocks: list[Block], names: tuple[str, str], screen: Screen
) -> Iterator[str]:
    room = max(screen.width - 10, 12)
    yield f"- {names[0]}"
    yield f"+ {names[1]}"
    yield ""
    for block in blocks:
        lefts = _lines(sides[0], block.left, block.sign, room, screen)
        if not block.sign:
            for line, _ in _folded([(line, line) for line in lefts], block.sign, screen):
                yield f"{' ' * 6}{_panel(line, screen)}".rstrip()
            continue
        rights = _lines(sides[1], block.right, block.sign, room, screen)
        for letter, lines in (("-", lefts), ("+", rights)):
            for line in lines:
                yield f"{screen.warn(f'{block.sign:<5}{letter}')}{_panel(line, screen)}".rstrip()


def _lines(side: Side, span: tuple[int, int], sign: Sign, room: int, screen: Screen) -> list[_Line]:
    """A stretch of one row as lines of one mask each; tokens are set apart where that is what differs."""
    start, stop = span
    inside = side.changes[bisect_right(side.changes, start) : bisect_left(side.changes, stop)]
    places = [start, *inside, stop]
    found: list[_Line] = []
    for first, last in pairwise(places):
        if first == last:
            continue
        trained, padding = side.state(first)
        cells = _stretch(side, first, last, padding, screen)
        if sign == "split":
            cells = _set_apart(side, cells, screen)
        for line in _broken(cells, screen.marks.newline):
            found += [_Line(trained, without_end(part)) for part in fold(line, room, "", "")]
    return found


def _stretch(side: Side, first: int, last: int, padding: bool, screen: Screen) -> list[Cell]:
    if not padding:
        cells = side.line.chars(first, last)
        mark_ends(cells, screen)
        return cells
    tokens = bisect_left(side.line.starts, last) - bisect_left(side.line.starts, first)
    token: TokenView = side.view.tokens[side.token_at(first)]
    text = one_line(token.text, screen.ascii_only)
    return [note(f"{screen.marks.open}{text}{screen.marks.close} x {tokens:,} padding")]


def _set_apart(side: Side, cells: list[Cell], screen: Screen) -> list[Cell]:
    """The cells with a sign at each border of tokens."""
    found: list[Cell] = []
    for before, cell in zip([None, *cells], cells, strict=False):
        index = bisect_left(side.borders, cell.place)
        if before is not None and index < len(side.borders) and side.borders[index] == cell.place:
            found.append(note(screen.marks.border))
        found.append(cell)
    return found


def _broken(cells: list[Cell], newline: str) -> Iterator[list[Cell]]:
    """The cells as lines that end in a line break's sign."""
    line: list[Cell] = []
    for cell in cells:
        line.append(cell)
        if cell.kind == "mark" and cell.text == newline:
            yield line
            line = []
    if line:
        yield line


_Pair = tuple[_Line | None, _Line | None]


def _folded(pairs: list[_Pair], sign: Sign, screen: Screen) -> list[_Pair]:
    """A long stretch in which nothing differs, without its middle."""
    left_out = len(pairs) - 2 * _AROUND
    if sign or left_out < 2:
        return pairs
    marks = screen.marks
    said = _Line(False, [note(f"{marks.open}{left_out:,} lines that are the same{marks.close}")])
    return [*pairs[:_AROUND], (said, said), *pairs[-_AROUND:]]


def _panel(line: _Line | None, screen: Screen) -> str:
    if line is None:
        return ""
    return f"{mask_bar(line.trained, screen)} {painted(line.cells, screen)}"


def _clipped(name: str, screen: Screen) -> str:
    text, cut = one_line(name, screen.ascii_only), screen.marks.cut
    while width_of(text) > _LONGEST_NAME:
        text = cut + text.removeprefix(cut)[1:]
    return text
