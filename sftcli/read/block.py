"""The noun between `read` and `parse`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from sftcli.read.source import lines_before

MAX_LINE_BYTES = 64 << 20
# Stands in for a line over the limit, which is streamed past and not kept. It is no JSON, so that
# it can only become a record error.
LINE_TOO_LONG = b"\0line too long"


def is_blank(line: bytes) -> bool:
    """Whether a line holds nothing but what JSON calls white space."""
    return not line or (line.isspace() and not line.strip(b" \t\r\n"))


class InputLine(NamedTuple):
    """Line `line`, from 1, of the split of `file` that begins at byte `split_start`.

    As text it is the line of the file: only then are the lines before the split counted, for which they
    must be read. Raises OSError where that is not possible.
    """

    file: str
    split_start: int
    line: int

    def __str__(self) -> str:
        return self.told(lines_before)

    def told(self, count: Callable[[str, int], int]) -> str:
        """The same; `count` gives the lines before a byte of a file."""
        return f"{self.file}:{count(self.file, self.split_start) + self.line}"


@dataclass(slots=True)
class LineBlock:
    r"""Consecutive lines of one file, without "\n" and without one "\r" before it.

    `first_byte` is the offset of the first line in the (decompressed) file. `widths` holds the
    bytes from each line's start to the next one's, or is None where that is len(line) + 1.
    `break_bytes` is how many of them are the line break: 0 for a last line that has none, and None
    where a line is no line of the file.

    In a JSON array a line is one element of the array, and its number the element's, from 1. In
    Parquet it is one row, written as JSON; its byte offset is 0.

    `split_start` is the byte at which the split begins that the lines are of. `whole` is what the lines
    were split from, where nothing was taken off them.
    """

    file: str
    first_byte: int
    lines: list[bytes]
    line_in_split: int = 0
    widths: list[int] | None = None
    break_bytes: int | None = field(default=1, repr=False, compare=False)
    split_start: int = 0
    lines_before: Callable[[], int] = field(default=lambda: 0, repr=False, compare=False)
    whole: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def first_line(self) -> int:
        """The first line's number in the file, from 1.

        Where the split begins inside the file, the lines before it are counted at the first call:
        only messages need the number, and a run without bad records should not pay for it.
        """
        return self.lines_before() + self.line_in_split + 1

    def input_line(self, index: int) -> InputLine:
        """Line `index` of this block, which may have been taken out of it since."""
        return InputLine(self.file, self.split_start, self.line_in_split + index + 1)

    @property
    def width(self) -> int:
        """Bytes from the first line's start to the end of the last one's line break."""
        return sum(self.widths) if self.widths is not None else sum(map(len, self.lines)) + len(self.lines)

    @property
    def text(self) -> bytes:
        """The lines with a line break between each two."""
        return b"\n".join(self.lines) if self.whole is None else self.whole

    def had_return(self, index: int) -> bool:
        r"""Whether a "\r" was taken off the end of line `index`."""
        if self.widths is None or self.break_bytes is None:
            return False
        return self.widths[index] == len(self.lines[index]) + 1 + self.break_bytes

    def byte_of(self, index: int) -> int:
        """The offset in the file of line `index` of this block."""
        if self.widths is not None:
            return self.first_byte + sum(self.widths[:index])
        return self.first_byte + sum(map(len, self.lines[:index])) + index

    def head(self, count: int) -> "LineBlock":
        """The first `count` lines as a block of their own."""
        return self.part(0, max(count, 0))

    def up_to(self, records: int) -> "LineBlock":
        """The lines up to the `records`-th one that is not blank, and no line behind it."""
        there = (index for index, line in enumerate(self.lines) if not is_blank(line))
        last = next(islice(there, records - 1, None), None)
        return self if last is None else self.head(last + 1)

    def part(self, first: int, stop: int) -> "LineBlock":
        """Lines [first, stop) of this block as a block of their own."""
        return replace(
            self,
            first_byte=self.byte_of(first) if first else self.first_byte,
            lines=self.lines[first:stop],
            line_in_split=self.line_in_split + first,
            widths=self.widths and self.widths[first:stop],
            whole=None,
        )
