"""A row as one long line of cells, of which the views of one line per token show stretches."""

from bisect import bisect_left
from dataclasses import replace
from itertools import accumulate

from sftcli.view.cells import Cell, cells, one_line, width_of
from sftcli.view.found import set_found
from sftcli.view.page import Screen, mark_ends
from sftcli.view.row import RowView


class RowLine:
    """A row's text, where its tokens begin in it, and how any stretch of it is shown in one line.

    `starts`: int[tokens + 1], in characters. A control or padding token is one cell.
    """

    def __init__(self, view: RowView, screen: Screen) -> None:
        self._screen = screen
        self._view = view
        self.text = "".join(token.text for token in view.tokens)
        self.starts = [0, *accumulate(len(token.text) for token in view.tokens)]
        self._parts = _parts(view)
        self._cells = self._all_cells()
        self._places = [cell.place for cell in self._cells]

    def piece(self, token: int, room: int) -> list[Cell]:
        """One token; of a character that several share, the first has it and each has its part's number."""
        part = self._part(token)
        found = self.chars(self.starts[token], self.starts[token + 1])
        mark_ends(found, self._screen)
        found = shortened(found, self.starts[token + 1], room - width(part), self._screen) + part
        return with_mask(found, self._view.tokens[token].trained)

    def chars(self, first: int, stop: int) -> list[Cell]:
        """The cells of characters `first` to `stop`, as they are in the row: not to be changed."""
        begin, end = bisect_left(self._places, first), bisect_left(self._places, stop)
        found = self._cells[begin:end]
        after = self._place(begin)
        if begin and first < min(after, stop):  # inside a cell, such as an accent that is a token
            found = self._cut(first, min(after, stop), self._cells[begin - 1].trained) + found
        if found and found[-1].place >= first and stop < self._place(end) and found[-1].kind == "text":
            last = found.pop()
            found += self._cut(last.place, stop, last.trained)
        return found

    def before(self, token: int, start: int, room: int) -> list[Cell]:
        """What stands from token `start` to before a token: all of it, or its end behind a sign."""
        first, stop = bisect_left(self._places, self.starts[start]), self.starts[token]
        index, used = bisect_left(self._places, stop), 0
        while index > first and used <= room:
            index -= 1
            used += self._cells[index].width
        found = self.chars(self._places[index] if index > first else self.starts[start], stop)
        if self._parts[token][0]:
            found += self._part(token - 1)
        mark_ends(found, self._screen)
        sign = note(self._screen.marks.cut)
        over = width(found) - room
        if index == first and over <= 0:
            return found
        over, dropped = over + sign.width, 0
        while over > 0 and dropped < len(found):
            over -= found[dropped].width
            dropped += 1
        return [sign, *found[dropped:]]

    def _all_cells(self) -> list[Cell]:
        tokens, found = self._view.tokens, list[Cell]()
        at = 0
        while at < len(tokens):
            token, first = tokens[at], at
            if token.control or token.padding:
                found.append(self._control(at))
                at += 1
                continue
            while at < len(tokens) and not (tokens[at].control or tokens[at].padding):
                at += 1
            found += self._text_cells(first, at)
        return found

    def _text_cells(self, first: int, stop: int) -> list[Cell]:
        """Cells of tokens that are text: seen as a whole, each with the mask of its own token."""
        start = self.starts[first]
        found = self._flat(self.text[start : self.starts[stop]], start, False)
        token = first
        for cell in found:
            while self.starts[token + 1] <= cell.place:
                token += 1
            part, size = self._parts[token]
            cell.trained = any(
                other.trained for other in self._view.tokens[token - part : token - part + size]
            )
        return found

    def _cut(self, first: int, stop: int, trained: bool) -> list[Cell]:
        return self._flat(self.text[first:stop], first, trained)

    def _flat(self, text: str, start: int, trained: bool) -> list[Cell]:
        """Cells of one line, whose line breaks and tabs are signs."""
        signs = {"\n": self._screen.marks.newline, "\t": self._screen.marks.tab}
        found = cells(text, trained, self._screen.ascii_only)
        for cell in found:
            cell.place += start
            if cell.text in signs:
                cell.text = signs[cell.text]
                cell.width = len(cell.text)
        set_found(found, self._view.found, start + len(text))
        return found

    def _control(self, index: int) -> Cell:
        token, marks = self._view.tokens[index], self._screen.marks
        text = one_line(token.text, self._screen.ascii_only)
        if not self._screen.color:
            text = marks.open + text + marks.close
        cell = Cell(text, width_of(text), token.trained, "control", place=self.starts[index])
        set_found([cell], self._view.found, self.starts[index + 1])
        return cell

    def _part(self, token: int) -> list[Cell]:
        part, size = self._parts[token]
        marks = self._screen.marks
        return [note(f"{marks.open}{part + 1}/{size}{marks.close}")] if size > 1 else []

    def _place(self, index: int) -> int:
        return self._places[index] if index < len(self._places) else len(self.text)


def _parts(view: RowView) -> list[tuple[int, int]]:
    """For each token, which of its group's tokens it is, from 0, and how many the group has."""
    found: list[tuple[int, int]] = []
    for token in view.tokens:
        if token.group or not found:
            found.append((0, max(token.group, 1)))
        else:
            part, size = found[-1]
            found.append((part + 1, max(size, part + 2)))
    return found


def with_mask(line: list[Cell], trained: bool) -> list[Cell]:
    """The cells with one mask: of a character, its tokens may have several."""
    return [cell if cell.trained == trained else replace(cell, trained=trained) for cell in line]


def note(text: str) -> Cell:
    """A cell that is the page's own word and not the row's."""
    return Cell(text, width_of(text), False, "mark")


def width(line: list[Cell]) -> int:
    """Columns that the cells take."""
    return sum(cell.width for cell in line)


def shortened(line: list[Cell], stop: int, room: int, screen: Screen) -> list[Cell]:
    """The line, or its two ends and between them how many characters are left out.

    `stop` is where in the row's text the line ends.
    """
    if not line or width(line) <= room:
        return line
    marks = screen.marks
    if len(line) == 1:
        return [_narrowed(line[0], room, marks.cut)]
    words = f"{marks.open}+{{:,}}{' chars' if room >= 30 else ''}{marks.close}"
    keep = max(room - len(words.format(stop - line[0].place)), 2)
    head = _fits(line, (keep + 1) // 2)
    tail = _fits(line[head:][::-1], keep // 2)
    first_kept = len(line) - tail
    end = line[first_kept].place if tail else stop
    return [*line[:head], note(words.format(end - line[head].place)), *line[first_kept:]]


def _narrowed(cell: Cell, room: int, cut: str) -> Cell:
    """A control token's name without its middle."""
    keep = max(room - len(cut), 2)
    text = cell.text[: (keep + 1) // 2] + cut + cell.text[len(cell.text) - keep // 2 :]
    return replace(cell, text=text, width=width_of(text))


def _fits(line: list[Cell], room: int) -> int:
    """How many cells from the start on fit."""
    used = 0
    for count, cell in enumerate(line):
        used += cell.width
        if used > room:
            return count
    return len(line)
