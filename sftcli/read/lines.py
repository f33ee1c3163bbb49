"""Bytes -> blocks of lines, at the speed of `bytes.split`."""

import functools
from collections.abc import Callable, Iterable, Iterator

from sftcli.read.block import LINE_TOO_LONG, LineBlock
from sftcli.read.sniff import UTF8_BOM


def line_blocks(
    pieces: Iterable[bytes], file: str, first_byte: int, max_line_bytes: int, lines_before: Callable[[], int]
) -> Iterator[LineBlock]:
    """One block for every piece in which a line ends, and one for a last line without a break.

    `first_byte` is where the first piece begins in the file, which is the first byte of a line;
    `lines_before` counts the lines before it and is called at most once. No piece may be longer
    than `max_line_bytes`.
    """
    lines_before = functools.cache(lines_before)
    held: list[bytes | memoryview] = []  # the line that no piece has ended yet, and its length,
    held_size = 0  # which counts on when the line has become too long to be kept
    position, number = first_byte, 0
    for piece in pieces:
        end = piece.rfind(b"\n")
        if end < 0:
            held_size += len(piece)
            held = [*held, piece] if held_size <= max_line_bytes else []
            continue
        too_long = held_size and held_size + piece.find(b"\n") > max_line_bytes
        body = piece[:end] if too_long or not held else b"".join([*held, memoryview(piece)[:end]])
        block = _block(body, held_size if too_long else 0, file, position, number)
        block.split_start, block.lines_before = first_byte, lines_before
        yield block
        number += len(block.lines)
        position += held_size + end + 1
        held_size = len(piece) - end - 1
        held = [memoryview(piece)[end + 1 :]] if held_size else []
    if held_size:
        lost = held_size if held_size > max_line_bytes else 0
        block = _block(b"".join(held), lost, file, position, number)
        block.widths = [position + held_size - block.first_byte]
        block.break_bytes = 0
        block.split_start, block.lines_before = first_byte, lines_before
        yield block


def _block(body: bytes, lost: int, file: str, first_byte: int, number: int) -> LineBlock:
    """The lines of `body`; `lost` bytes of a first line that is too long are not in it."""
    lines = body.split(b"\n")
    widths = None
    whole: bytes | None = body
    if lost or b"\r" in body:
        widths = [len(line) + 1 for line in lines]
        lines = [line[:-1] if line.endswith(b"\r") else line for line in lines]
        whole = None
    if lost and widths:
        widths[0] += lost
        lines[0] = LINE_TOO_LONG
    elif first_byte == 0 and lines[0].startswith(UTF8_BOM):
        lines[0] = lines[0].removeprefix(UTF8_BOM)
        whole = body.removeprefix(UTF8_BOM) if widths is None else None
        first_byte = len(UTF8_BOM)
        if widths:
            widths[0] -= len(UTF8_BOM)
    return LineBlock(file, first_byte, lines, number, widths, whole=whole)
