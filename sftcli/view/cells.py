"""Text -> cells: what stands in one place on the screen, safe to print and of known width.

The text is data and its author is not trusted. What a terminal or a CI system would act on, and
what nobody could see, is written out: `\\x1b`, `\\u202e`, `#\\x23[error]`.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

# Plain text, a control token, a character written out, or a sign for white space.
Kind = Literal["text", "control", "escape", "mark"]

TAB_STOP = 4
_JOINERS = "\u200c\u200d"
# `##[error]` and `##vso[...]` are commands to CI systems wherever they stand in a line.
_CI_COMMAND = re.compile(r"##(?=\w*\[)")
# `::error::` is one at the start of a line, where a wrapped name or description may bring it.
_CI_LINE_COMMAND = re.compile(r"(?<!\S):(?=:\w)")
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Letters that nobody sees.
_BLANKS = "\u115f\u3164\uffa0"
# More than this in one place is not writing; a family of four with skin tones has eleven.
_MOST_JOINED = 16
_RIGHT_TO_LEFT = re.compile(
    r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe\U00010800-\U00010fff\U0001e800-\U0001efff]"
)


@dataclass(frozen=True, slots=True)
class Marks:
    """The signs that a page adds to the text."""

    newline: str
    space: str
    tab: str
    open: str
    close: str
    bar: str
    trained_bar: str
    dot: str
    rule: str
    arrow: str
    cut: str
    border: str


UNICODE = Marks("↵", "␣", "⇥", "⟦", "⟧", "│", "┃", " · ", "─", "→", "…", "╎")
ASCII = Marks(r"\n", r"\x20", r"\t", "[[", "]]", "|", "|", " - ", "-", "->", "...", "|")
# In data these are written out, so that on the page they always mean the same.
_SIGNS = UNICODE.newline + UNICODE.space + UNICODE.tab + UNICODE.open + UNICODE.close + UNICODE.border


@dataclass(slots=True)
class Cell:
    """`text` is `\\n` or `\\t` for a line break or a tab; a line may break after `may_break`.

    `place` is where its first character stands in the text that it was made of. `loss` is that of
    the token it belongs to, in nats; `starts`: that token begins here. `found`: it was looked for.
    """

    text: str
    width: int
    trained: bool
    kind: Kind = "text"
    may_break: bool = False
    place: int = 0
    loss: float | None = None
    starts: bool = False
    found: bool = False


def cells(text: str, trained: bool = False, ascii_only: bool = False) -> list[Cell]:
    """One cell per visible character, tab or line break."""
    commands = {match.start() + 1 for match in _CI_COMMAND.finditer(text)}
    found: list[Cell] = []
    base: Cell | None = None  # what a combining character would join
    for place, char in enumerate(text):
        if " " <= char <= "~" and place not in commands:
            base = Cell(char, 1, trained, "text", char == " ", place)
            found.append(base)
        elif char in "\n\t":
            found.append(Cell(char, 0, trained, "mark", True, place))
            base = None
        elif base is not None and not char.isascii() and not ascii_only and _joins(char, base):
            base.text += char
            base.width += _width(char)
        elif place in commands or _is_hidden(char, ascii_only):
            out = escaped(char)
            found.append(Cell(out, len(out), trained, "escape", place=place))
            base = None
        else:
            width = _width(char)
            base = Cell(char, width, trained, "text", width == 2, place)
            found.append(base)
    return found


def one_line(text: str, ascii_only: bool = False) -> str:
    """A short text, such as a file name, made safe to print."""
    out = text
    if not (text.isascii() and text.isprintable()) or "##" in text:
        found = cells(text, ascii_only=ascii_only)
        out = "".join(escaped(cell.text) if cell.text in ("\n", "\t") else cell.text for cell in found)
    return _CI_LINE_COMMAND.sub(lambda colon: escaped(colon[0]), out)


def width_of(text: str) -> int:
    """Columns that a printable text takes."""
    return sum(map(_width, text))


def escaped(char: str) -> str:
    """A character written out. `\\x80` to `\\xff` are left to bytes that are no text."""
    named = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(char)
    if named:
        return named
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def fold(line: Iterable[Cell], room: int, newline: str, tab: str) -> list[list[Cell]]:
    """Break cells into lines of `room` columns, after a space where one is near.

    Line breaks of the text stay, behind their mark; a mark or a single space may stand beyond
    `room`.
    """
    lines: list[list[Cell]] = [[]]
    used = 0
    for given in line:
        if given.text == "\n":
            lines[-1].append(replace(given, text=newline, width=len(newline)))
            lines.append([])
            used = 0
            continue
        cell = given
        if given.text == "\t":
            width = max(TAB_STOP - used % TAB_STOP, len(tab))
            cell = replace(given, text=tab.ljust(width), width=width)
        if lines[-1] and used + cell.width > room + (cell.text == " "):
            lines.append(_cut(lines[-1], room))
            used = sum(moved.width for moved in lines[-1])
        lines[-1].append(cell)
        used += cell.width
    return lines if lines[-1] else lines[:-1]


def _cut(line: list[Cell], room: int) -> list[Cell]:
    """Take off the end of a line what goes to the next one."""
    kept, best = 0, len(line)
    for index, cell in enumerate(line):
        kept += cell.width
        if cell.may_break and 2 * kept >= room:
            best = index + 1
    rest = line[best:]
    del line[best:]
    return rest


def fenced(text: str) -> str:
    """`text`, ended so that what is printed after it does not take part in its right-to-left order."""
    return text + "\u200e" if _RIGHT_TO_LEFT.search(text) else text


def _joins(char: str, base: Cell) -> bool:
    """Whether a character shows in the cell before it: an accent, or an emoji's next part."""
    if len(base.text) >= _MOST_JOINED:
        return False
    if char in _JOINERS:
        return not base.text.isascii()
    if _is_selector(char):  # a second one changes nothing, but can carry hidden data
        return not _is_selector(base.text[-1])
    category = unicodedata.category(char)
    if category in ("Mn", "Me") or "\u1160" < char <= "\u11ff":
        return True
    if "\U0001f1e6" <= char <= "\U0001f1ff":  # two of these letters are a flag
        return len(base.text) == 1 and "\U0001f1e6" <= base.text <= "\U0001f1ff"
    skin = "\U0001f3fb" <= char <= "\U0001f3ff" and unicodedata.category(base.text[-1]) == "So"
    return skin or (base.text[-1] == "\u200d" and category == "So")


def _is_selector(char: str) -> bool:
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"


def _is_hidden(char: str, ascii_only: bool) -> bool:
    if char.isascii():
        return not char.isprintable()
    # An accent that reaches here has nothing to stand on and would land on the page's own marks.
    category = unicodedata.category(char)
    alone = category in ("Mn", "Me") or "\u1160" <= char <= "\u11ff"
    return alone or ascii_only or char in _SIGNS or char in _BLANKS or category in _HIDDEN


def _width(char: str) -> int:
    if char.isascii():
        return 1
    # A Hangul vowel or final stands in the syllable that its initial began.
    if unicodedata.category(char) in ("Mn", "Me", "Cf") or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
