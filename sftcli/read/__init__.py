"""Split -> lines: raw bytes with file, line number and byte offset, a block at a time.

source   bytes of a file, of standard input, or out of a compressed file
sniff    inputs that are not what their name says
lines    bytes -> blocks of lines
array    a JSON array -> blocks of lines, one element each
parquet  a Parquet file -> blocks of lines, one row each
"""

import itertools
from collections.abc import Iterator

from sftcli.errors import EnvironmentFault
from sftcli.plan import Split
from sftcli.read.array import array_blocks
from sftcli.read.block import LINE_TOO_LONG, MAX_LINE_BYTES, InputLine, LineBlock, is_blank
from sftcli.read.lines import line_blocks
from sftcli.read.parquet import parquet_blocks
from sftcli.read.sniff import HEAD_BYTES, check_head, is_array
from sftcli.read.source import lines_before, open_pieces

__all__ = [
    "BLOCK_BYTES",
    "LINE_TOO_LONG",
    "MAX_LINE_BYTES",
    "InputLine",
    "LineBlock",
    "is_blank",
    "read_blocks",
]

# Large enough to tokenize many texts at once, small enough for the arrays to stay in the cache.
BLOCK_BYTES = 1 << 20


def read_blocks(
    split: Split, block_bytes: int = BLOCK_BYTES, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[LineBlock]:
    """The split's lines in order, in blocks whose bounds depend on the input's bytes alone.

    Memory is bounded by `block_bytes` plus the longest line. A line over `max_line_bytes` is
    LINE_TOO_LONG in its place. Raises FileError where the input is not what it says it is, and
    EnvironmentFault where it cannot be read. Compressed input is only known to be whole once the
    last block has been taken.
    """
    try:
        if split.kind == "parquet":
            yield from parquet_blocks(split.file)
        else:
            yield from _text_blocks(split, min(block_bytes, max_line_bytes), max_line_bytes)
    except OSError as problem:
        raise EnvironmentFault(f"{split.file}: cannot be read: {problem.strerror or problem}") from problem


def _text_blocks(split: Split, block_bytes: int, max_line_bytes: int) -> Iterator[LineBlock]:
    pieces = open_pieces(split, block_bytes)
    if split.start == 0:
        head, pieces = _peek(pieces)
        array = split.kind == "json" and is_array(head)
        check_head(head, split.file, lines=not array)
        if array:
            yield from array_blocks(pieces, split.file, max_line_bytes)
            return
    yield from line_blocks(
        pieces, split.file, split.start, max_line_bytes, lambda: lines_before(split.file, split.start)
    )


def _peek(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first HEAD_BYTES or more, and all pieces again."""
    taken: list[bytes] = []
    size = 0
    for piece in pieces:
        taken.append(piece)
        size += len(piece)
        if size >= HEAD_BYTES:
            break
    return b"".join(taken), itertools.chain(taken, pieces)
