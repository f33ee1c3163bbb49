"""Inputs that are not what their name says: a FileError that names the cause and the cure."""

import json

import msgspec

from sftcli.errors import FileError
from sftcli.plan import STDIN
from sftcli.read.lines import UTF8_BOM

HEAD_BYTES = 64 << 10

# First bytes, the suffix that makes us unpack it, and the program that does.
_COMPRESSED = {
    "gz": (b"\x1f\x8b", "zcat"),
    "bz2": (b"BZh", "bzcat"),
    "xz": (b"\xfd7zXZ\0", "xzcat"),
    "zst": (b"\x28\xb5\x2f\xfd", "zstdcat"),
}
_UTF16 = "UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8"
# First bytes; what it is and what to do about it.
_FOREIGN = (
    (b"PAR1", "Parquet data; give it a name that ends in .parquet"),
    (b"ARROW1", "an Arrow file; export it as JSON lines or Parquet"),
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"version https://git-lfs", "a Git LFS pointer, not the data itself; fetch the data: git lfs pull"),
    (b"\xff\xfe", _UTF16),
    (b"\xfe\xff", _UTF16),
    (b"{\0", _UTF16),
    (b"[\0", _UTF16),
    (b"\0{", _UTF16),
    (b"\0[", _UTF16),
)
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")


def is_array(head: bytes) -> bool:
    return _text(head).startswith(b"[")


def check_head(head: bytes, file: str, lines: bool) -> None:
    """Raise FileError where the first bytes show something else than JSON.

    `lines`: JSON lines are expected, so one document over several lines is an error too.
    """
    for suffix, (magic, program) in _COMPRESSED.items():
        if head.startswith(magic):
            cure = f"give it a name that ends in .{suffix}"
            cure = f"unpack it on the way: {program} FILE | sftcli ... -" if file == STDIN else cure
            raise FileError(f"{file}: {suffix} data; {cure}")
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            raise FileError(f"{file}: {what}")
    text = _text(head)
    if text[:16].lower().startswith(_MARKUP):
        raise FileError(
            f"{file}: a web page or XML, not JSON lines: a download link that led to a page; get the raw file"
        )
    if lines:
        _check_layout(text, file)


def check_compressed(head: bytes, file: str, compression: str) -> None:
    """Raise FileError where a compressed file does not begin as its suffix promises."""
    magic = _COMPRESSED[compression][0]
    if compression == "zst" and head[1:4] == b"\x2a\x4d\x18":
        return  # a skippable frame, which may come first
    if not head.startswith(magic[: len(head)]):
        check_head(head, file, lines=False)
        raise FileError(f"{file}: named .{compression}, but not {compression} data; correct the name")


def _text(head: bytes) -> bytes:
    return head.removeprefix(UTF8_BOM).lstrip()


def _check_layout(text: bytes, file: str) -> None:
    first, _, rest = text.partition(b"\n")
    if text.startswith(b"["):
        if _is_json(first) and rest.strip():
            return  # one bad record, which is reported as such
        cure = "make it JSON lines: jq -c '.[]'"
        cure = cure if file == STDIN else f"give it a name that ends in .json, or {cure}"
        raise FileError(f"{file}: one JSON array, not JSON lines; {cure}")
    if text.startswith(b"{") and not _is_json(first) and _goes_on(text, first, rest):
        raise FileError(f"{file}: JSON over several lines, not one record per line; convert it: jq -c .")


def _goes_on(text: bytes, first: bytes, rest: bytes) -> bool:
    """Whether the object that begins in the first line goes on in the second."""
    if first.strip() == b"{":
        return rest.lstrip().startswith(b'"')
    decoded = text.decode(errors="replace")
    try:
        _, end = json.JSONDecoder().raw_decode(decoded)
    except (ValueError, RecursionError):
        return False
    return "\n" in decoded[:end]


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
