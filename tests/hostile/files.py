r"""Whole files that are not what they should be: a name, the file, its bytes, the error's code, its message.

A message that begins with digits begins with the error's line and column.
"""

import bz2
import gzip
import lzma

import zstandard

GOOD = b'{"text": "a"}\n{"text": "b"}\n'
TEXT = GOOD.decode()
ZSTD = zstandard.ZstdCompressor(write_checksum=True).compress
GZ, BZ2, XZ, ZST = gzip.compress(GOOD, mtime=0), bz2.compress(GOOD), lzma.compress(GOOD), ZSTD(GOOD)
BOM = b"\xef\xbb\xbf"
PRETTY = b'{\n  "text": "a"\n}\n'
PAGE = b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n"
TAR = b"data.jsonl".ljust(257, b"\0") + b"ustar\0" + b"00".ljust(249, b"\0") + GOOD

File = tuple[str, str, bytes, str, str]

FILES: list[File] = [
    # Encodings.
    (
        "UTF-16 with a mark",
        "a.jsonl",
        TEXT.encode("utf-16"),
        "utf16",
        "UTF-16 text; convert it: iconv -f UTF-16",
    ),
    ("UTF-16BE with a mark", "a.jsonl", b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf16", "UTF-16 text"),
    ("UTF-16LE without", "a.jsonl", TEXT.encode("utf-16-le"), "utf16", "UTF-16LE text; convert it: iconv"),
    ("UTF-16BE without", "a.jsonl", TEXT.encode("utf-16-be"), "utf16", "UTF-16BE text; convert it: iconv"),
    (
        "UTF-32 with a mark",
        "a.jsonl",
        TEXT.encode("utf-32"),
        "utf32",
        "UTF-32 text; convert it: iconv -f UTF-32",
    ),
    ("UTF-32BE with a mark", "a.jsonl", b"\0\0\xfe\xff" + TEXT.encode("utf-32-be"), "utf32", "UTF-32 text"),
    ("UTF-32LE without", "a.jsonl", TEXT.encode("utf-32-le"), "utf32", "UTF-32LE text"),
    ("UTF-32BE without", "a.jsonl", TEXT.encode("utf-32-be"), "utf32", "UTF-32BE text"),
    ("UTF-16 in .gz", "a.jsonl.gz", gzip.compress(TEXT.encode("utf-16"), mtime=0), "utf16", "UTF-16 text"),
    ("a UTF-16 array", "a.json", b"[1]".decode().encode("utf-16-le"), "utf16", "UTF-16LE text"),
    # Names that lie.
    ("gz as .jsonl", "a.jsonl", GZ, "wrong_extension", "gz data; give it a name that ends in .gz"),
    ("bz2 as .jsonl", "a.jsonl", BZ2, "wrong_extension", "bz2 data; give it a name that ends in .bz2"),
    ("xz as .jsonl", "a.jsonl", XZ, "wrong_extension", "xz data; give it a name that ends in .xz"),
    ("zst as .jsonl", "a.jsonl", ZST, "wrong_extension", "zst data; give it a name that ends in .zst"),
    ("zst as .gz", "a.jsonl.gz", ZST, "wrong_extension", "zst data; give it a name that ends in .zst"),
    ("gz as .zst", "a.jsonl.zst", GZ, "wrong_extension", "gz data; give it a name that ends in .gz"),
    ("xz as .bz2", "a.jsonl.bz2", XZ, "wrong_extension", "xz data; give it a name that ends in .xz"),
    ("bz2 as .xz", "a.jsonl.xz", BZ2, "wrong_extension", "bz2 data; give it a name that ends in .bz2"),
    ("plain as .gz", "a.jsonl.gz", GOOD, "wrong_extension", "named .gz, but not gz data; correct the name"),
    (
        "plain as .bz2",
        "a.jsonl.bz2",
        GOOD,
        "wrong_extension",
        "named .bz2, but not bz2 data; correct the name",
    ),
    ("plain as .xz", "a.jsonl.xz", GOOD, "wrong_extension", "named .xz, but not xz data; correct the name"),
    (
        "plain as .zst",
        "a.jsonl.zst",
        GOOD,
        "wrong_extension",
        "named .zst, but not zst data; correct the name",
    ),
    ("plain as .parquet", "a.parquet", GOOD, "wrong_extension", "named .parquet, but not Parquet data"),
    ("gz as .parquet", "a.parquet", GZ, "wrong_extension", "gz data; give it a name that ends in .gz"),
    ("parquet as .jsonl", "a.jsonl", b"PAR1" + b"\0" * 99, "wrong_extension", "Parquet data; give it a name"),
    ("parquet as .gz", "a.jsonl.gz", b"PAR1" + b"\0" * 99, "wrong_extension", "Parquet data; give it a name"),
    ("gz in gz", "a.jsonl.gz", gzip.compress(GZ, mtime=0), "wrong_extension", "gz data; give it a name"),
    # Other formats.
    ("an Arrow file", "a.jsonl", b"ARROW1\0\0" + b"\0" * 99, "wrong_format", "an Arrow file; export it"),
    (
        "an Arrow stream",
        "a.jsonl",
        b"\xff\xff\xff\xff\xb0\1\0\0",
        "wrong_format",
        "an Arrow stream; export it",
    ),
    (
        "a zip archive",
        "a.jsonl",
        b"PK\x03\x04" + b"\0" * 99,
        "wrong_format",
        "a zip archive; unpack it first",
    ),
    ("a tar archive", "a.jsonl", TAR, "wrong_format", "a tar archive; unpack it first"),
    ("a tar.gz archive", "a.jsonl.gz", gzip.compress(TAR, mtime=0), "wrong_format", "a tar archive; unpack"),
    ("lz4", "a.jsonl", b"\x04\x22\x4d\x18" + b"\0" * 99, "wrong_format", "lz4 data; unpack it first"),
    ("a pickle", "a.jsonl", b"\x80\x04\x95\0\0", "wrong_format", "a Python pickle, which is not read"),
    ("SQLite", "a.jsonl", b"SQLite format 3\0" + b"\0" * 99, "wrong_format", "an SQLite database; export it"),
    ("a PDF file", "a.jsonl", b"%PDF-1.7\n", "wrong_format", "a PDF file, not JSON lines"),
    ("a Git LFS pointer", "a.jsonl", POINTER, "lfs_pointer", "a Git LFS pointer, not the data itself; fetch"),
    ("a pointer as .gz", "a.jsonl.gz", POINTER, "lfs_pointer", "git lfs pull"),
    ("a pointer as .parquet", "a.parquet", POINTER, "lfs_pointer", "git lfs pull"),
    ("a pointer as .json", "a.json", POINTER, "lfs_pointer", "git lfs pull"),
    ("a web page", "a.jsonl", PAGE, "web_page", "a web page or XML, not JSON lines"),
    ("a web page after a mark", "a.jsonl", BOM + b"\n " + PAGE, "web_page", "get the raw file"),
    ("a web page as .gz", "a.jsonl.gz", PAGE, "web_page", "a web page or XML"),
    ("XML", "a.jsonl", b'<?xml version="1.0"?><Error/>', "web_page", "a web page or XML"),
    # JSON, but not in lines.
    (
        "pretty-printed",
        "a.jsonl",
        PRETTY,
        "pretty_printed",
        "JSON over several lines, not one record per line",
    ),
    ("pretty-printed, many", "a.jsonl", PRETTY * 3, "pretty_printed", "convert it: jq -c ."),
    ("pretty-printed as .gz", "a.jsonl.gz", gzip.compress(PRETTY, mtime=0), "pretty_printed", "jq -c ."),
    ("pretty-printed, .json", "a.json", PRETTY, "pretty_printed", "convert it: jq -c ."),
    (
        "an array as .jsonl",
        "a.jsonl",
        b'[{"text": "a"}]',
        "array_in_jsonl",
        "give it a name that ends in .json",
    ),
    (
        "a long array as .jsonl",
        "a.jsonl",
        b'[\n{"text": "a"},\n{"text": "b"}\n]\n',
        "array_in_jsonl",
        "jq -c '.[]'",
    ),
    # Nothing in it.
    ("empty", "a.jsonl", b"", "empty_input", "no records: the input is empty"),
    ("blank lines", "a.jsonl", b"\n \r\n\n", "empty_input", "no records: the input is empty"),
    ("only a mark", "a.jsonl", BOM, "empty_input", "no records: the input is empty"),
    ("empty .gz", "a.jsonl.gz", b"", "truncated", "the gz data breaks off after 0 bytes of text"),
    ("empty .zst", "a.jsonl.zst", b"", "truncated", "the zst data breaks off after 0 bytes of text"),
    ("nothing in .gz", "a.jsonl.gz", gzip.compress(b"", mtime=0), "empty_input", "the input is empty"),
    ("an empty array", "a.json", b"[]", "empty_input", "the input is empty"),
    ("empty .parquet", "a.parquet", b"", "empty_input", "empty, which no Parquet file is"),
    # Compressed data that is not whole, or not alone.
    ("half of .gz", "a.jsonl.gz", GZ[: len(GZ) // 2], "truncated", "the gz data breaks off"),
    ("gz without its checksum", "a.jsonl.gz", GZ[:-8], "truncated", "breaks off after 28 bytes of text"),
    ("gz and half of one", "a.jsonl.gz", GZ + GZ[:15], "truncated", "the gz data breaks off after"),
    ("gz, wrong checksum", "a.jsonl.gz", GZ[:-8] + b"\0" + GZ[-7:], "corrupt", "broken gz data"),
    ("gz, wrong length", "a.jsonl.gz", GZ[:-1] + b"\1", "corrupt", "incorrect length check"),
    (
        "gz and plain text",
        "a.jsonl.gz",
        GZ + GOOD,
        "trailing_garbage",
        "the gz data ends after 28 bytes of text",
    ),
    ("gz and a line break", "a.jsonl.gz", GZ + b"\n", "trailing_garbage", "something else follows it"),
    ("bz2, a byte changed", "a.jsonl.bz2", BZ2[:30] + b"\xff" + BZ2[31:], "corrupt", "broken bz2 data"),
    ("bz2 and plain text", "a.jsonl.bz2", BZ2 + GOOD, "trailing_garbage", "something else follows it"),
    ("xz, a byte changed", "a.jsonl.xz", XZ[:30] + b"\xff" + XZ[31:], "corrupt", "broken xz data"),
    ("xz and plain text", "a.jsonl.xz", XZ + GOOD, "trailing_garbage", "something else follows it"),
    ("zst, wrong checksum", "a.jsonl.zst", ZST[:-1] + b"\0", "corrupt", "match checksum"),
    ("zst and plain text", "a.jsonl.zst", ZST + GOOD, "trailing_garbage", "something else follows it"),
    ("a cut parquet", "a.parquet", b"PAR1" + b"\0" * 99, "corrupt", "broken Parquet data"),
    # Arrays.
    (
        "an array cut",
        "a.json",
        b'[{"text": "a"},\n{"text": "b"}',
        "cut_short",
        "2:14: a malformed JSON array: it has no",
    ),
    (
        "cut after a comma",
        "a.json",
        b'[{"text": "a"},\n',
        "cut_short",
        "2:1: a malformed JSON array: it has no end",
    ),
    (
        "cut in a string",
        "a.json",
        b'[{"text": "a"},\n{"text": "b',
        "cut_short",
        "2:10: a malformed JSON array",
    ),
    (
        "a comma too many",
        "a.json",
        b'[{"text": "a"},\n]',
        "trailing_comma",
        "1:15: a malformed JSON array: a comma with",
    ),
    (
        "a comma first",
        "a.json",
        b'[\n,{"text": "a"}]',
        "json",
        "2:1: a malformed JSON array: expected a value",
    ),
    (
        "a comma missing",
        "a.json",
        b'[{"text": "a"}\n{"text": "b"}]',
        "json",
        "2:1: a malformed JSON array: expecting ','",
    ),
    (
        "a quote missing",
        "a.json",
        b'[{"text": "a},\n{"text": "b"}]',
        "control_character",
        "1:15: a malformed JSON",
    ),
    (
        "the wrong bracket",
        "a.json",
        b'[{"text": "a"]]',
        "json",
        "1:14: a malformed JSON array: expecting ','",
    ),
    (
        "closed by a brace",
        "a.json",
        b'[{"text": "a"}}',
        "json",
        "1:15: a malformed JSON array: expecting ']'",
    ),
    (
        "more after the array",
        "a.json",
        b'[{"text": "a"}]\n{"text": "b"}',
        "extra_data",
        "2:1: a malformed JSON array",
    ),
    (
        "two arrays",
        "a.json",
        b'[{"text": "a"}]\n[]',
        "extra_data",
        "2:1: a malformed JSON array: more text after",
    ),
    ("NaN in an array", "a.json", b'[{"text": "a", "v": nan}]', "json", "1:21: a malformed JSON array"),
    ("an array after é", "a.json", '[{"é": "日"} x]'.encode(), "json", "1:13: a malformed JSON array"),
]
