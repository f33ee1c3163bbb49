"""Bytes of a file, of standard input, or out of a compressed file."""

import bz2
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Protocol

from sftcli.errors import EnvironmentFault, FileError
from sftcli.plan import STDIN, Split
from sftcli.read.sniff import begins, check_compressed

# Compressed bytes handed over at a time. gzip and zstd cannot be told where to stop, so this bounds
# what one call can swell to: a few KiB of ordinary text, and some 100 MB in a bomb.
_FEED_BYTES = 1 << 10
_TEXT_BYTES = 1 << 20  # what bz2 and xz may give at a time: they swell without bounds
_COUNT_BYTES = 1 << 20
_counted: dict[tuple[int, ...], tuple[int, int]] = {}  # of the last file: a place in it, and the lines before


# What may stand after a stream: zeros, to fill up a block of a tape or, for xz, in fours.
_PADDED = {"gz": 1, "xz": 4}
_XZ_MEMORY = 512 << 20  # the most that `xz -9` or any usual setting needs is 65 MiB
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
# What decoders say of data that is whole and still cannot be read.
_LIMITS = (
    (
        "Frame requires too much memory",
        "needs_memory",
        "its zstd frames need a window of over 128 MiB; compress it again without --long or --ultra",
    ),
    (
        "Memory usage limit",
        "needs_memory",
        f"its xz streams need over {_XZ_MEMORY >> 20} MiB; compress it again without --lzma2=dict",
    ),
    (
        "Dictionary mismatch",
        "needs_dictionary",
        "its zstd frames need a dictionary, which it does not hold; compress it again without one",
    ),
)


class _Decoder(Protocol):
    """What zlib, bz2, lzma and zstandard have in common: one object for one compressed stream."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def open_pieces(split: Split, size: int) -> Iterator[bytes]:
    """The split's bytes, decompressed, in pieces of exactly `size` bytes and a shorter last one."""
    if split.file == STDIN:
        yield from _pieces(_Pipe(sys.stdin.buffer), split, size)
        return
    with open(split.file, "rb") as source:
        if split.compression:
            yield from _regroup(_decompress(source, split.file, split.compression), size)
            return
        if split.start:
            source.seek(split.start)
        yield from _pieces(source, split, size)


class _Pipe:
    """Reads what comes through a pipe in Python's own loop, in which a signal is noticed.

    A buffered read goes on waiting for its next byte when a signal comes between two of its waits.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._read = getattr(source, "raw", source).read

    def read(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size and (part := self._read(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def lines_before(file: str, position: int) -> int:
    """How many line breaks there are before byte `position` of an uncompressed file.

    They are counted on from the last place of the file that was asked for: whoever asks for each split of a
    large file would else read it again and again.
    """
    if not position:
        return 0
    with open(file, "rb") as source:
        status = os.fstat(source.fileno())
        known = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        start, count = _counted.get(known, (0, 0))
        start, count = (start, count) if start <= position else (0, 0)
        source.seek(start)
        for at in range(start, position, _COUNT_BYTES):
            count += source.read(min(_COUNT_BYTES, position - at)).count(b"\n")
    _counted.clear()
    _counted[known] = position, count
    return count


def _pieces(source: "BinaryIO | _Pipe", split: Split, size: int) -> Iterator[bytes]:
    position = split.start
    while split.end is None or position < split.end:
        piece = source.read(size if split.end is None else min(size, split.end - position))
        if not piece:
            break
        position += len(piece)
        yield piece
    if split.end is not None and position < split.end:
        raise EnvironmentFault(
            f"{split.file}: ends at byte {position}, but had {split.end} bytes when the run began; "
            "run again when nothing writes to it"
        )


def _regroup(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    waiting: list[bytes] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if count >= size:
            joined = b"".join(waiting)
            whole = count - count % size
            yield from (joined[start : start + size] for start in range(0, whole, size))
            waiting = [joined[whole:]]
            count -= whole
    if count:
        yield b"".join(waiting)


def _decompress(source: BinaryIO, file: str, compression: str) -> Iterator[bytes]:
    """All streams of a compressed file, one after another. Raises FileError for a broken one."""
    new_decoder, problems = _DECODERS[compression]()
    decoder: _Decoder | None = None
    streams = size = padding = 0
    tail = _Tail(compression)
    while data := source.read(_FEED_BYTES):
        tail.add(data)
        if not streams and not decoder:
            check_compressed(data, file, compression)
        while data:
            if decoder is None:
                if streams and compression in _PADDED:
                    padding += len(data) - len(data := data.lstrip(b"\0"))
                    if not data:
                        break
                if streams and (padding % _PADDED.get(compression, 1) or not begins(data, compression)):
                    raise FileError(f"{file}: {_garbage(compression, size)}", code="trailing_garbage")
                decoder = new_decoder()
                streams, padding = streams + 1, 0
            try:
                for text in _unpack(decoder, data):
                    size += len(text)
                    yield text
            except problems as problem:
                code, what = _broken(str(problem), compression, size)
                raise FileError(f"{file}: {what}", code=code) from None
            data = decoder.unused_data if decoder.eof else b""
            decoder = None if decoder.eof else decoder
    if padding % _PADDED.get(compression, 1):
        raise FileError(f"{file}: {_garbage(compression, size)}", code="trailing_garbage")
    if decoder is not None or not streams or tail.is_cut():
        raise FileError(
            f"{file}: the {compression} data breaks off after {size} bytes of text: a download or copy "
            "that did not finish; get the file again",
            code="truncated",
        )


class _Tail:
    """Tells whether a bgzip file lacks the empty block that ends each of them.

    It is made of many streams, so that one that is cut between two of them reads well otherwise.
    """

    def __init__(self, compression: str) -> None:
        self._could_be = compression == "gz"
        self._bytes = b""

    def add(self, data: bytes) -> None:
        if self._could_be and not self._bytes:
            self._could_be = data[3:4] == b"\x04" and data[12:14] == b"BC"
        if self._could_be:
            self._bytes = (self._bytes + data)[-len(_BGZIP_END) :]

    def is_cut(self) -> bool:
        return self._could_be and self._bytes != _BGZIP_END


def _garbage(compression: str, size: int) -> str:
    return (
        f"the {compression} data ends after {size} bytes of text, and something else follows it in the file; "
        "get the file again, or unpack it and compress it again"
    )


def _broken(problem: str, compression: str, size: int) -> tuple[str, str]:
    """The code for what a decoder said, and what to do about it."""
    for words, code, what in _LIMITS:
        if words in problem:
            return code, what
    cure = "get the file again or compress it again"
    return "corrupt", f"broken {compression} data ({problem}) after {size} bytes of text; {cure}"


def _unpack(decoder: _Decoder, data: bytes) -> Iterator[bytes]:
    if isinstance(decoder, bz2.BZ2Decompressor | lzma.LZMADecompressor):
        yield decoder.decompress(data, _TEXT_BYTES)
        while not decoder.eof and not decoder.needs_input:
            yield decoder.decompress(b"", _TEXT_BYTES)
    else:
        yield decoder.decompress(data)


_NewDecoder = tuple[Callable[[], _Decoder], tuple[type[Exception], ...]]


def _zstd() -> _NewDecoder:
    import zstandard

    return lambda: zstandard.ZstdDecompressor().decompressobj(), (zstandard.ZstdError,)


# How to make a decoder for one stream, and what it raises for broken data.
_DECODERS: dict[str, Callable[[], _NewDecoder]] = {
    "gz": lambda: (lambda: zlib.decompressobj(wbits=31), (zlib.error,)),
    "bz2": lambda: (bz2.BZ2Decompressor, (OSError, ValueError)),
    "xz": lambda: (lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY), (lzma.LZMAError,)),
    "zst": _zstd,
}
