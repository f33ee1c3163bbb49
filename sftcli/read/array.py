"""A top-level JSON array -> blocks of lines, one element each, a piece of the file at a time."""

from collections.abc import Iterable, Iterator
from typing import NoReturn

import msgspec
import numpy as np

from sftcli.errors import FileError
from sftcli.json_nesting import Nesting
from sftcli.json_text import DECODE_ERRORS, first_fault
from sftcli.read.block import LINE_TOO_LONG, LineBlock
from sftcli.read.sniff import UTF8_BOM

_decode = msgspec.json.Decoder(list[msgspec.Raw]).decode
_COMMA = ord(",")
_SPACE = b" \t\r\n"
_CORRECT = "; correct the file there"
_NO_END = "it has no end: the file was cut short; get it again"
_MORE = "more text after its end; remove it, or make the file JSON lines"


def array_blocks(pieces: Iterable[bytes], file: str, max_line_bytes: int) -> Iterator[LineBlock]:
    """The elements of a top-level JSON array, each as one line; `pieces` begin where the file does.

    An element keeps its own bytes, so that byte offsets are those of the file; only line breaks
    between its parts become spaces. Memory is bounded by a piece plus the longest element. Raises
    FileError, with line and column, where the array is malformed.
    """
    array = _Array(file, max_line_bytes)
    for piece in pieces:
        yield from array.feed(piece)
    array.close()


class _Array:
    """What is known of an array after some pieces of it: where the open element begins, and the nesting."""

    def __init__(self, file: str, longest: int) -> None:
        self.file, self.longest = file, longest
        self.nesting = Nesting()
        self.opened = self.closed = False
        self.number = 0  # of elements that have ended
        # The open element's bytes, and how many they are, which counts on where they are too many to keep.
        self.held: list[bytes] = []
        self.held_size = 0
        # Where the open element begins: the byte, the line, and the code points before it on that line.
        self.byte, self.line, self.column = 0, 1, 0
        self.stop = (1, 1)  # the line and column of the last comma between elements

    def feed(self, piece: bytes) -> Iterator[LineBlock]:
        """The elements that end in the next piece."""
        places, depths = self.nesting.feed(piece)
        start = 0
        if not self.opened:
            start = int(places[0]) + 1 if len(places) else len(piece)
            self.opened = start <= len(piece) and bool(len(places))
            self._pass(piece[:start])
        if self.closed or not self.opened:
            self._refuse_more(piece[start:])
            return
        closing = places[depths == 0]
        end = int(closing[0]) if len(closing) else None
        inside = places[(depths == 1) & (places >= start) & (places < (len(piece) if end is None else end))]
        commas = inside[np.frombuffer(piece, np.uint8)[inside] == _COMMA].tolist()
        stops = commas if end is None else [*commas, end]
        if stops and self.held_size > self.longest:
            yield self._lost(piece[start : stops[0]])
            start = self._pass_stop(piece, stops.pop(0))
        if stops:
            block = self._elements(b"".join([*self.held, piece[start : stops[-1]]]), final=end is not None)
            if block.lines:
                yield block
            start = self._pass_stop(piece, stops[-1])
        if self.closed:
            self._refuse_more(piece[start:])
        else:
            self._hold(piece[start:])

    def close(self) -> None:
        """Raise FileError where the array has not ended."""
        if not self.closed:
            self._malformed(b"".join(self.held), _NO_END)

    def _hold(self, rest: bytes) -> None:
        self.held_size += len(rest)
        self.held = [*self.held, rest] if self.held_size <= self.longest else []

    def _lost(self, rest: bytes) -> LineBlock:
        """The end of an element that was too long to be kept; where lines end in it is not known."""
        width = self.held_size + len(rest)
        block = LineBlock(self.file, self.byte, [LINE_TOO_LONG], self.number, [width], None)
        self.byte += self.held_size
        self._pass(rest)
        self.number += 1
        self.held_size = 0
        return block

    def _elements(self, text: bytes, final: bool) -> LineBlock:
        """The elements that `text` is made of, up to a comma or, where it is `final`, the array's end."""
        self.held, self.held_size = [], 0
        block = LineBlock(self.file, self.byte, [], self.number, [], None)
        if text.strip(_SPACE) or self.number or not final:
            lines, starts = self._split(text)
            block.lines = lines
            block.first_byte += starts[0]
            block.widths = [after - at for at, after in zip(starts, [*starts[1:], len(text)], strict=True)]
            self.number += len(lines)
        self._pass(text)
        return block

    def _split(self, text: bytes) -> tuple[list[bytes], list[int]]:
        """The elements in `text`, and where each begins in it."""
        try:
            elements = [bytes(element) for element in _decode(b"[" + text + b"]")]
        except RecursionError:
            elements = _split_by_commas(text)  # one is too deep for a record, which will be said of it
        except DECODE_ERRORS:
            self._malformed(text + b"]")
        if not elements and self.number:
            self._fail("trailing_comma", "a comma with nothing after it; remove it" + _CORRECT, *self.stop)
        if not elements:
            self._malformed(text + b",")
        lines, starts = [], []
        position = 0
        for raw in elements:
            # Between two elements there are only commas and white space.
            position = text.index(raw, position)
            starts.append(position)
            position += len(raw)
            lines.append(raw.replace(b"\n", b" ") if len(raw) <= self.longest else LINE_TOO_LONG)
        return lines, starts

    def _pass_stop(self, piece: bytes, stop: int) -> int:
        """Move on past the comma or bracket at `stop`; where in the piece that is."""
        self.stop = (self.line, self.column + 1)
        if piece[stop] not in b",]":
            self._fail("json", "expecting ']', found '}'" + _CORRECT, *self.stop)
        self.closed = piece[stop] != _COMMA
        self._pass(piece[stop : stop + 1])
        return stop + 1

    def _refuse_more(self, text: bytes) -> None:
        """Raise FileError for what follows the array's end, unless it is white space."""
        rest = text.lstrip(_SPACE) if self.closed else b""
        self._pass(text[: len(text) - len(rest)] if self.closed else b"")
        if rest:
            self._fail("extra_data", _MORE, self.line, self.column + 1)

    def _pass(self, text: bytes) -> None:
        """Move on past `text`."""
        if self.byte == 0 and text.startswith(UTF8_BOM):
            self.byte, text = len(UTF8_BOM), text.removeprefix(UTF8_BOM)
        self.byte += len(text)
        breaks = text.count(b"\n")
        if breaks:
            self.line, self.column = self.line + breaks, 0
        last = np.frombuffer(text, np.uint8)[text.rfind(b"\n") + 1 :]
        self.column += int(np.count_nonzero(last & 0xC0 != 0x80))  # bytes that begin a code point

    def _malformed(self, text: bytes, message: str | None = None) -> NoReturn:
        """Raise FileError for the first fault in `text`, which begins where the open element does."""
        decoded = text.decode(errors="replace")
        fault = first_fault("[" + decoded)
        code, said, offset = fault or ("json", "it cannot be read", 1)
        before = decoded[: max(offset - 1, 0)]
        line = self.line + before.count("\n")
        column = len(before) - before.rfind("\n") if "\n" in before else self.column + len(before) + 1
        self._fail(code, message or said + _CORRECT, line, column)

    def _fail(self, code: str, message: str, line: int, column: int) -> NoReturn:
        place = f"{self.file}:{line}:{column}"
        raise FileError(f"{place}: a malformed JSON array: {message}", code=code, line=line, column=column)


def _split_by_commas(text: bytes) -> list[bytes]:
    """The elements in `text` whatever is in them: for those that are too deep to be decoded."""
    places, depths = Nesting().feed(text)
    commas = [place for place in places[depths == 0].tolist() if text[place] == _COMMA]
    starts = [0, *(comma + 1 for comma in commas)]
    return [text[at:end].strip(_SPACE) for at, end in zip(starts, [*commas, len(text)], strict=True)]
