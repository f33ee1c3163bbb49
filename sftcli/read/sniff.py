"""Inputs that are not what their name says: a FileError that names the cause and the cure."""

import io
import json
import re
from itertools import islice

import msgspec

from sftcli.errors import FileError
from sftcli.plan import STDIN

HEAD_BYTES = 64 << 10
UTF8_BOM = b"\xef\xbb\xbf"

# First bytes, the suffix that makes us unpack it, and the program that does.
_COMPRESSED = {
    "gz": (b"\x1f\x8b", "zcat"),
    "bz2": (b"BZh", "bzcat"),
    "xz": (b"\xfd7zXZ\0", "xzcat"),
    "zst": (b"\x28\xb5\x2f\xfd", "zstdcat"),
}
_SKIPPABLE = [bytes([first]) for first in range(0x50, 0x60)]  # zstd frames that hold no text
_UNPACK = "unpack it first, or compress it as .zst or .gz"
# First bytes; a code; what it is and what to do about it.
_FOREIGN = (
    (b"PAR1", "wrong_extension", "Parquet data; give it a name that ends in .parquet"),
    (b"ARROW1", "wrong_format", "an Arrow file; export it as JSON lines or Parquet"),
    (b"\xff\xff\xff\xff", "wrong_format", "an Arrow stream; export it as JSON lines or Parquet"),
    (b"Obj\x01", "wrong_format", "Avro data; export it as JSON lines or Parquet"),
    (b"PK\x03\x04", "wrong_format", "a zip archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "wrong_format", "a 7-Zip archive; unpack it first"),
    (b"Rar!", "wrong_format", "a RAR archive; unpack it first"),
    (b"\x04\x22\x4d\x18", "wrong_format", f"lz4 data; {_UNPACK}"),
    (b"\x1f\x9d", "wrong_format", f"data of `compress`; {_UNPACK}"),
    (b"SQLite format 3\0", "wrong_format", "an SQLite database; export it as JSON lines"),
    (b"\x93NUMPY", "wrong_format", "a numpy array; export it as JSON lines"),
    (b"\x80\x02", "wrong_format", "a Python pickle, which is not read; export it as JSON lines"),
    (b"\x80\x03", "wrong_format", "a Python pickle, which is not read; export it as JSON lines"),
    (b"\x80\x04", "wrong_format", "a Python pickle, which is not read; export it as JSON lines"),
    (b"\x80\x05", "wrong_format", "a Python pickle, which is not read; export it as JSON lines"),
    (b"%PDF-", "wrong_format", "a PDF file, not JSON lines"),
    (
        b"version https://git-lfs",
        "lfs_pointer",
        "a Git LFS pointer, not the data itself; fetch the data: git lfs pull",
    ),
)
# Text is told from one bad line, or two, by so many that are no JSON.
_FEWEST_LINES, _LINES_LOOKED_AT = 5, 20
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")
# Marks of other encodings; UTF-32's begins with UTF-16's.
_BOMS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
# Without a mark, the zeros in the first characters tell, which are ASCII in JSON.
_ZEROS = (
    (re.compile(rb"[^\0]\0\0\0"), "UTF-32LE"),
    (re.compile(rb"\0\0\0[^\0]"), "UTF-32BE"),
    (re.compile(rb"[^\0]\0[^\0]"), "UTF-16LE"),
    (re.compile(rb"\0[^\0]\0"), "UTF-16BE"),
)


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
            raise FileError(f"{file}: {suffix} data; {cure}", code="wrong_extension")
    _check_encoding(head, file)
    for magic, code, what in _FOREIGN:
        if head.startswith(magic):
            raise FileError(f"{file}: {what}", code=code)
    if head[257:262] == b"ustar":
        raise FileError(f"{file}: a tar archive; unpack it first", code="wrong_format")
    text = _text(head)
    if text[:16].lower().startswith(_MARKUP):
        what = "a web page or XML, not JSON lines: a download link that led to a page; get the raw file"
        raise FileError(f"{file}: {what}", code="web_page")
    if lines:
        _check_layout(text, file)


def begins(data: bytes, compression: str) -> bool:
    """Whether a stream of this compression may begin like this, as far as `data` goes."""
    magic = _COMPRESSED[compression][0]
    skippable = compression == "zst" and data[:1] in _SKIPPABLE and b"\x2a\x4d\x18".startswith(data[1:4])
    return skippable or data.startswith(magic[: len(data)])


def check_compressed(head: bytes, file: str, compression: str) -> None:
    """Raise FileError where a compressed file does not begin as its suffix promises."""
    if not begins(head, compression):
        check_head(head, file, lines=False)
        message = f"{file}: named .{compression}, but not {compression} data; correct the name"
        raise FileError(message, code="wrong_extension")


def check_parquet(file: str) -> None:
    """Raise FileError where a file that is named .parquet begins as something else."""
    with open(file, "rb") as source:
        head = source.read(HEAD_BYTES)
    if not head:
        raise FileError(f"{file}: empty, which no Parquet file is; write the file again", code="empty_input")
    if not head.startswith(b"PAR1"):
        check_head(head, file, lines=False)
        what = "a name that ends in .json or .jsonl" if _text(head)[:1] in b"{[" else "correct the name"
        message = f"{file}: named .parquet, but not Parquet data; {what}"
        raise FileError(message, code="wrong_extension")


def _check_encoding(head: bytes, file: str) -> None:
    name = next((name for mark, name in _BOMS if head.startswith(mark)), None)
    name = name or next((name for zeros, name in _ZEROS if zeros.match(head)), None)
    if name:
        code = name[:6].replace("-", "").lower()
        raise FileError(f"{file}: {name} text; convert it: iconv -f {name} -t UTF-8", code=code)


def _text(head: bytes) -> bytes:
    return head.removeprefix(UTF8_BOM).lstrip()


def _check_layout(text: bytes, file: str) -> None:
    first, _, rest = text.partition(b"\n")
    _check_prose(text, file)
    if text.startswith(b"["):
        if _is_json(first) and rest.strip():
            return  # one bad record, which is reported as such
        cure = "make it JSON lines: jq -c '.[]'"
        cure = cure if file == STDIN else f"give it a name that ends in .json, or {cure}"
        raise FileError(f"{file}: one JSON array, not JSON lines; {cure}", code="array_in_jsonl")
    if text.startswith(b"{") and not _is_json(first) and _goes_on(text, first, rest):
        message = f"{file}: JSON over several lines, not one record per line; convert it: jq -c ."
        raise FileError(message, code="pretty_printed")


def _check_prose(text: bytes, file: str) -> None:
    """Raise FileError where the first lines are a table, or many of them, and none is JSON."""
    if text[:1] in b"{[":
        return
    # The last line of what was read may be a part of one.
    whole = text.rpartition(b"\n")[0] if len(text) > HEAD_BYTES // 2 else text
    lines = [line for line in whole.decode(errors="replace").splitlines() if line.strip()][:_LINES_LOOKED_AT]
    if any(line.lstrip()[0] in "{[" or _is_json(line.encode()) for line in lines):
        return
    for name, delimiter in (("TSV", "\t"), ("CSV", ","), ("CSV", ";")):
        columns = _columns(whole.decode(errors="replace"), delimiter)
        if columns > 1:
            what = f"{name} of {columns} columns"
            raise FileError(f"{file}: {what}; export it as JSON lines", code="wrong_format")
    if len(lines) >= _FEWEST_LINES:
        what = f"text: none of its first {len(lines)} lines is JSON"
        raise FileError(f"{file}: {what}; export the data as JSON lines", code="wrong_format")


def _columns(text: str, delimiter: str) -> int:
    """How many fields each of the first rows of a table has; 0 where they differ, or there is but one."""
    import csv  # for bad files alone

    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        sizes = [len(row) for row in islice(filter(None, rows), _LINES_LOOKED_AT)]
    except csv.Error:
        return 0
    return sizes[0] if len(sizes) > 1 and len(set(sizes)) == 1 else 0


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
