"""Split -> lines."""

import bz2
import gzip
import io
import json
import lzma
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sftcli.errors import EnvironmentFault, FileError
from sftcli.plan import Split, plan_splits
from sftcli.read import LINE_TOO_LONG, InputLine, LineBlock, read_blocks

BOM = b"\xef\xbb\xbf"
Lines = list[tuple[int, int, bytes]]  # number, byte, line

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor().compress,
}


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(data: bytes, name: str = "a.jsonl") -> str:
    Path(name).write_bytes(data)
    return name


def read(name: str, block_bytes: int = 1 << 20, split_size: int = 1 << 20, max_line: int = 1 << 20) -> Lines:
    found = []
    for split in plan_splits([name], split_size):
        for block in read_blocks(split, block_bytes, max_line):
            assert block.file == name
            places = enumerate(block.lines)
            where = [str(block.head(0).input_line(index)) for index in range(len(block.lines))]
            assert where == [f"{name}:{block.first_line + index}" for index in range(len(block.lines))]
            found += [(block.first_line + index, block.byte_of(index), line) for index, line in places]
    return found


def slow_lines(data: bytes, max_line: int = 1 << 20) -> Lines:
    """The obvious version of read."""
    found: Lines = []
    position = 0
    for number, line in enumerate(io.BytesIO(data), 1):
        at, body = position, line.removesuffix(b"\n")
        position += len(line)
        if len(body) > max_line:
            found.append((number, at, LINE_TOO_LONG))
            continue
        if at == 0 and body.startswith(BOM):
            at, body = len(BOM), body[len(BOM) :]
        found.append((number, at, body.removesuffix(b"\r")))
    return found


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n", [(1, 0, b"")]),
        (b"a", [(1, 0, b"a")]),
        (b"a\nb", [(1, 0, b"a"), (2, 2, b"b")]),
        (b"a\r\nb\r\r\n\r\nc\r", [(1, 0, b"a"), (2, 3, b"b\r"), (3, 7, b""), (4, 9, b"c")]),
        (b"a\rb\x0bc\x0c\xc2\x85\xe2\x80\xa8d\n", [(1, 0, b"a\rb\x0bc\x0c\xc2\x85\xe2\x80\xa8d")]),
        (BOM + b"a\n" + BOM + b"b\n", [(1, 3, b"a"), (2, 5, BOM + b"b")]),
        (BOM + b"a\r\nb\n", [(1, 3, b"a"), (2, 6, b"b")]),
        (BOM, [(1, 3, b"")]),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 2, 100])
def test_lines_with_numbers_and_offsets(data: bytes, expected: Lines, block_bytes: int) -> None:
    assert slow_lines(data) == expected
    assert read(write(data), block_bytes) == expected


# Pieces that make line breaks, long lines and byte order marks likely.
FILES = st.lists(st.sampled_from([b"a", b"bcd", b"\n", b"\r", b"\r\n", "é".encode(), b"x" * 30, BOM])).map(
    b"".join
)


@given(FILES, st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_every_line_is_read_once_whatever_the_sizes(
    data: bytes, block: int, split: int, longest: int
) -> None:
    assert read(write(data), block, split, longest) == slow_lines(data, longest)


@given(FILES, st.sampled_from(sorted(COMPRESS)), st.integers(1, 3), st.integers(1, 40))
def test_compressed_files_read_as_the_plain_one(data: bytes, suffix: str, streams: int, block: int) -> None:
    data = b"{}\n" + data  # many lines of which none is JSON are told as text
    packed = COMPRESS[suffix](data) * streams
    assert read(write(packed, f"a.jsonl.{suffix}"), block) == slow_lines(data * streams)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_blocks_are_cut_by_bytes_alone(suffix: str) -> None:
    data = b"".join(b"%d\n" % n for n in range(1000))
    write(data)
    write(gzip.compress(data), "a.jsonl.gz")
    sizes = [len(block.lines) for block in read_blocks(plan_splits([f"a.jsonl{suffix}"])[0], 1000)]
    assert sizes == [277, 250, 250, 223]


def test_a_long_line_is_passed_by_without_being_kept() -> None:
    data = b"a\n" + b"x" * 3_000_000 + b"\nb\n" + b"y" * 2_000_000
    blocks = list(read_blocks(plan_splits([write(data)])[0], 1 << 16, 1 << 20))
    assert [(block.first_line, block.first_byte, block.width) for block in blocks] == [
        (1, 0, 2),
        (2, 2, 3_000_003),
        (4, 3_000_005, 2_000_000),
    ]
    assert [block.lines for block in blocks] == [[b"a"], [LINE_TOO_LONG, b"b"], [LINE_TOO_LONG]]
    assert read("a.jsonl", 1 << 16)[3] == (4, 3_000_005, LINE_TOO_LONG)


def test_head_is_a_block_of_the_first_lines() -> None:
    block = LineBlock("f", 10, [b"a", b"b"], 4, [3, 2])
    assert block.head(1) == LineBlock("f", 10, [b"a"], 4, [3])
    assert block.head(0).width == 0
    assert LineBlock("f", 0, [b"a", b"bc"]).head(1).width == 2


@given(st.lists(st.sampled_from([b"a", b"", b" \t", LINE_TOO_LONG]), min_size=1), st.integers(1, 9))
def test_a_block_up_to_a_record(lines: list[bytes], records: int) -> None:
    there = [index for index, line in enumerate(lines) if line.strip()][:records]
    wanted = lines[: there[-1] + 1] if len(there) == records else lines
    assert LineBlock("f", 0, lines).up_to(records).lines == wanted


def test_lines_are_counted_only_when_asked_for() -> None:
    splits = plan_splits([write(b"1\n2\n3\n4\n")], 4)
    (block,) = read_blocks(splits[1])
    place = block.input_line(1)
    assert place == ("a.jsonl", 4, 2)
    assert str(place) == "a.jsonl:4"
    os.truncate("a.jsonl", 2)
    assert block.first_line == 2, "counted at the first call"
    Path("a.jsonl").unlink()
    assert block.first_line == 2, "and only once"
    assert str(InputLine("-", 0, 7)) == "-:7", "nothing is read for the first split"


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}\n{"a": 2}\n')))
    (block,) = read_blocks(plan_splits(["-"])[0])
    assert block == LineBlock("-", 0, [b'{"a": 1}', b'{"a": 2}'])


@pytest.mark.parametrize("suffix", sorted(COMPRESS))
@pytest.mark.parametrize("streams", [1, 2])
def test_a_compressed_file_cut_anywhere_is_an_error(suffix: str, streams: int) -> None:
    data = b"".join(b'{"n": %d}\n' % (n * n) for n in range(50))
    stream = COMPRESS[suffix](data)
    whole = stream * streams
    for end in range(len(whole)):
        if end == len(stream):
            continue  # the end of the first stream is the end of a good file
        with pytest.raises(FileError, match=f"^a.{suffix}: the {suffix} data breaks off after"):
            read(write(whole[:end], f"a.{suffix}"))


@pytest.mark.parametrize("suffix", sorted(COMPRESS))
def test_a_corrupt_compressed_file_is_an_error(suffix: str) -> None:
    stream = COMPRESS[suffix](b"".join(b'{"n": %d}\n' % (n * n) for n in range(500)))
    middle = len(stream) // 2
    broken = stream[:middle] + b"\xff" * 20 + stream[middle + 20 :]
    with pytest.raises(
        FileError, match=rf"^a.{suffix}: broken {suffix} data \(.*get the file again"
    ) as caught:
        read(write(broken, f"a.{suffix}"))
    assert caught.value.code == "corrupt"


@pytest.mark.parametrize("suffix", sorted(COMPRESS))
@pytest.mark.parametrize("garbage", [b"garbage that follows", b"\n", b"\0\0\0x", b"\0" * 5 + b"{}\n"])
def test_what_follows_the_compressed_data_is_an_error(suffix: str, garbage: bytes) -> None:
    stream = COMPRESS[suffix](b"a\n")
    with pytest.raises(
        FileError, match=rf"^a.{suffix}: the {suffix} data ends after 2 bytes of text"
    ) as caught:
        read(write(stream + garbage, f"a.{suffix}"))
    assert caught.value.code == "trailing_garbage"


@pytest.mark.parametrize(("suffix", "zeros"), [("bz2", 1), ("zst", 4), ("xz", 1), ("xz", 6)])
def test_padding_that_the_format_does_not_have_is_an_error(suffix: str, zeros: int) -> None:
    with pytest.raises(FileError, match="something else follows it in the file"):
        read(write(COMPRESS[suffix](b"a\n") + b"\0" * zeros, f"a.{suffix}"))


def bgzip(data: bytes, size: int) -> list[bytes]:
    """The blocks of a bgzip file (its format is that of htslib): each says its size in an extra field."""
    blocks = []
    for start in [*range(0, len(data), size), len(data)]:
        packer = zlib.compressobj(wbits=-15)
        text = data[start : start + size]
        body = packer.compress(text) + packer.flush()
        head = bytes.fromhex("1f8b08040000000000ff0600424302 00".replace(" ", ""))
        tail = zlib.crc32(text).to_bytes(4, "little") + len(text).to_bytes(4, "little")
        blocks.append(head + (len(head) + 2 + len(body) + 7).to_bytes(2, "little") + body + tail)
    return blocks


def test_a_bgzip_file_cut_anywhere_is_an_error() -> None:
    blocks = bgzip(b"".join(b'{"n": %d}\n' % n for n in range(20)), 50)
    assert len(read(write(b"".join(blocks), "a.jsonl.gz"))) == 20
    for kept in range(1, len(blocks)):
        with pytest.raises(FileError, match="the gz data breaks off after"):
            read(write(b"".join(blocks[:kept]), "a.jsonl.gz"))


def test_a_zstd_frame_without_its_size_and_one_with_a_checksum() -> None:
    frames = [
        zstandard.ZstdCompressor(write_content_size=False).compress(b"1\n"),
        zstandard.ZstdCompressor(write_checksum=True).compress(b"2\n"),
        zstandard.ZstdCompressor(level=19).compress(b""),
        zstandard.ZstdCompressor(threads=2).compress(b"3\n" * 1000),
    ]
    assert [line for _, _, line in read(write(b"".join(frames), "a.zst"))] == [b"1", b"2", *[b"3"] * 1000]


def test_zstd_frames_that_need_more_than_they_hold() -> None:
    large = zstandard.ZstdCompressionParameters(window_log=28, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=large).compressobj()
    write(packer.compress(b"a\n") + packer.flush(), "a.zst")
    with pytest.raises(FileError, match="need a window of over 128 MiB; compress it again") as caught:
        read("a.zst")
    assert caught.value.code == "needs_memory"
    words = zstandard.ZstdCompressionDict(b"abcdefgh" * 100)
    write(zstandard.ZstdCompressor(dict_data=words).compress(b"abcdefgh" * 9), "a.zst")
    with pytest.raises(FileError, match=r"(need a dictionary|broken zst data)"):
        read("a.zst")


@pytest.mark.parametrize("suffix", ["gz", "xz"])
def test_padding_between_streams_is_allowed(suffix: str) -> None:
    one = COMPRESS[suffix](b"a\n")
    assert read(write(one + b"\0" * 8 + one + b"\0" * 4, f"a.{suffix}")) == [(1, 0, b"a"), (2, 2, b"a")]


def test_zstd_frames_that_are_skipped() -> None:
    skipped = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"abcd"
    data = skipped + COMPRESS["zst"](b"a\n") + skipped
    assert read(write(data, "a.zst")) == [(1, 0, b"a")]


ARRAY = (
    "one JSON array, not JSON lines; give it a name that ends in .json, or make it JSON lines: jq -c '.[]'"
)
SEVERAL_LINES = "JSON over several lines, not one record per line; convert it: jq -c ."
MALFORMED = "a malformed JSON array:"
GZIPPED = gzip.compress(b"{}\n", mtime=0)  # the bytes are in the tests' names: no time of day there


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", GZIPPED, "gz data; give it a name that ends in .gz"),
        ("a.jsonl", bz2.compress(b"{}"), "bz2 data; give it a name that ends in .bz2"),
        ("a.jsonl.gz", bz2.compress(b"{}"), "bz2 data; give it a name that ends in .bz2"),
        ("a.jsonl.gz", gzip.compress(GZIPPED, mtime=0), "gz data; give it a name that ends in .gz"),
        ("a.jsonl.gz", b'{"a": 1}\n', "named .gz, but not gz data; correct the name"),
        (
            "a.jsonl.zst",
            b"",
            "the zst data breaks off after 0 bytes of text: a download or copy that did not finish; "
            "get the file again",
        ),
        ("a.jsonl", b"PAR1....", "Parquet data; give it a name that ends in .parquet"),
        ("a.jsonl", b"PK\x03\x04....", "a zip archive; unpack it first"),
        ("a.jsonl", '{"a": 1}'.encode("utf-16"), "UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8"),
        ("a.jsonl", '{"a": 1}'.encode("utf-16-be"), "UTF-16BE text; convert it: iconv -f UTF-16BE -t UTF-8"),
        ("a.jsonl", '{"a": 1}'.encode("utf-16-le"), "UTF-16LE text; convert it: iconv -f UTF-16LE -t UTF-8"),
        ("a.jsonl", '{"a": 1}'.encode("utf-32"), "UTF-32 text; convert it: iconv -f UTF-32 -t UTF-8"),
        ("a.jsonl", '{"a": 1}'.encode("utf-32-be"), "UTF-32BE text; convert it: iconv -f UTF-32BE -t UTF-8"),
        (
            "a.jsonl.gz",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
            "a Git LFS pointer, not the data itself; fetch the data: git lfs pull",
        ),
        (
            "a.jsonl",
            b"\n<!DOCTYPE html><html>",
            "a web page or XML, not JSON lines: a download link that led to a page; get the raw file",
        ),
        (
            "a.jsonl",
            b'[{"a": 1},\n{"a": 2}]',
            ARRAY,
        ),
        (
            "a.jsonl",
            BOM + b'\n [{"a": 1}, {"a": 2}]\n',
            ARRAY,
        ),
        (
            "a.jsonl",
            b'{\n  "a": 1\n}\n{\n  "a": 2\n}\n',
            SEVERAL_LINES,
        ),
        (
            "a.json",
            b'{"a": [\n1, 2]}\n',
            SEVERAL_LINES,
        ),
        (
            "a.json",
            b'[{"a": 1},\n {"b" 2}]',
            f"2:7: {MALFORMED} expecting ':' delimiter, found '2'; correct the file there",
        ),
        ("a.json", b'[{"a": 1}', f"1:10: {MALFORMED} it has no end: the file was cut short; get it again"),
    ],
)
@pytest.mark.parametrize("block_bytes", [5, 1000])
def test_files_that_are_not_what_they_seem(name: str, data: bytes, message: str, block_bytes: int) -> None:
    with pytest.raises(FileError) as caught:
        read(write(data, name), block_bytes)
    assert str(caught.value).removeprefix(f"{name}:").removeprefix(" ") == message


@pytest.mark.parametrize(
    "data",
    [
        b'[1]\n{"a": 1}\n',
        b'{"a": 1\n{"a": 2}\n',
        b'{\n{"a": 2}\n',
        b'"a"\n{"a": 2}\n',
        b"null\n",
        b'{"a": "' + b"x" * 100_000 + b'"}\n{"a": 1}\n',
    ],
)
def test_a_bad_first_line_is_a_bad_record_and_no_bad_file(data: bytes) -> None:
    assert read(write(data)) == slow_lines(data)


@pytest.mark.parametrize("bom", [b"", BOM])
@pytest.mark.parametrize("block_bytes", [1, 20, 1000])
def test_a_json_array_reads_as_its_elements(bom: bytes, block_bytes: int) -> None:
    data = bom + b'\n[ {"a": 1,\n  "b": [1, 2]} ,"x","x",\n3\n, {"a": 1, "a": 2}]\n'
    expected = [
        (number, data.index(start, data.index(after)), line)
        for number, (after, start, line) in enumerate(
            [
                (b"[", b'{"a": 1,\n', b'{"a": 1,   "b": [1, 2]}'),
                (b',"x"', b'"x"', b'"x"'),
                (b',"x",\n', b'"x"', b'"x"'),
                (b"3", b"3", b"3"),
                (b', {"a"', b'{"a"', b'{"a": 1, "a": 2}'),
            ],
            1,
        )
    ]
    assert read(write(data, "a.json"), block_bytes) == expected
    assert read(write(gzip.compress(data), "a.json.gz"), block_bytes) == expected


VALUES = st.recursive(
    st.sampled_from([None, True, 1, -2.5, "", "a", "é😀", '"', "\\", "[{", "]},", ", ", "\n"]),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.sampled_from(["a", '"', "]"]), parts),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 1]), st.booleans(), st.integers(1, 60))
def test_any_json_array_reads_as_its_elements(
    values: list[object], indent: int | None, ascii_only: bool, block: int
) -> None:
    data = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()
    found = read(write(data, "a.json"), block)
    assert [json.loads(line) for _, _, line in found] == values
    assert [number for number, _, _ in found] == list(range(1, len(values) + 1))
    for _, byte, line in found:
        assert data[byte : byte + len(line)].replace(b"\n", b" ") == line


@given(st.lists(VALUES, min_size=1, max_size=3), st.integers(1, 60), st.data())
def test_a_json_array_cut_anywhere_is_an_error(
    values: list[object], block: int, chosen: st.DataObject
) -> None:
    data = json.dumps(values, indent=1).encode()
    end = chosen.draw(st.integers(1, len(data) - 1))
    with pytest.raises(FileError, match="a malformed JSON array: it has no end: the file was cut short"):
        read(write(data[:end], "a.json"), block)


def test_elements_that_are_too_deep_are_told_apart() -> None:
    deep = b"[" * 2000 + b"]" * 2000
    found = read(write(b'[{"a": ",]"}, ' + deep + b', "x" ]', "a.json"))
    assert found == [(1, 1, b'{"a": ",]"}'), (2, 14, deep), (3, 4016, b'"x"')]


@pytest.mark.parametrize("block_bytes", [1, 3, 1000])
@pytest.mark.parametrize(
    ("data", "place", "code"),
    [
        (b"[1,\n2 3]", (2, 3), "json"),
        (b"[1\n,\n]", (2, 1), "trailing_comma"),
        (b"[,1]", (1, 2), "json"),
        (b"[1}", (1, 3), "json"),
        (b"[1]\n\n x", (3, 2), "extra_data"),
        ('["é", 1,\n"日", x]'.encode(), (2, 6), "json"),
        (b"[1, tru]", (1, 5), "json"),
    ],
)
def test_where_a_json_array_is_malformed(
    data: bytes, place: tuple[int, int], code: str, block_bytes: int
) -> None:
    with pytest.raises(FileError) as caught:
        read(write(data, "a.json"), block_bytes)
    assert (caught.value.line, caught.value.column, caught.value.code) == (*place, code)


def test_an_element_that_is_too_long() -> None:
    assert read(write(b'["aaaa", "b"]', "a.json"), max_line=5) == [(1, 1, LINE_TOO_LONG), (2, 9, b'"b"')]


@pytest.mark.parametrize("data", [b"", b'{"a": 1}\n{"a": 2}\n', b"[]"])
def test_a_json_file_may_hold_lines_or_nothing(data: bytes) -> None:
    assert read(write(data, "a.json")) == ([] if data == b"[]" else slow_lines(data))


def parquet(columns: dict[str, object]) -> str:
    pq.write_table(pa.table(columns), "a.parquet")
    return "a.parquet"


def test_parquet_rows_keep_their_own_keys() -> None:
    rows = [
        {"messages": [{"role": "user", "content": "é", "args": {"x": 1}}], "system": None},
        {"messages": [{"role": "user", "content": "b", "args": {"y": "s"}}], "system": "be brief"},
    ]
    table = pa.Table.from_pylist(rows).append_column("when", pa.array([1, 2], pa.timestamp("s")))
    pq.write_table(table, "a.parquet")
    found = read("a.parquet")
    assert [json.loads(line) for _, _, line in found] == rows
    assert [(number, byte) for number, byte, _ in found] == [(1, 0), (2, 0)]


def test_parquet_types_that_json_has() -> None:
    name = parquet(
        {
            "text": pa.array(["2024-01-01T00:00:00"]).dictionary_encode(),
            "number": pa.array([1.5]),
            "flag": pa.array([True]),
            "list": pa.array([[["a"]]]),
            "nothing": pa.nulls(1),
        }
    )
    expected = b'{"text":"2024-01-01T00:00:00","number":1.5,"flag":true,"list":[["a"]],"nothing":null}'
    assert read(name) == [(1, 0, expected)]


def test_parquet_line_numbers_go_on_over_batches() -> None:
    found = read(parquet({"n": list(range(3000))}))
    assert found == [(n + 1, 0, b'{"n":%d}' % n) for n in range(3000)]


@pytest.mark.parametrize("values", [[b"x"], [{"bytes": b"x", "path": "p"}], [[b"x"]]])
def test_parquet_bytes_are_refused(values: list[object]) -> None:
    with pytest.raises(FileError, match="is bytes, not text; write it as text, or drop it"):
        read(parquet({"image": values}))


@pytest.mark.parametrize("cut", [4, 100, 200])
def test_a_parquet_file_that_was_cut(cut: int) -> None:
    data = Path(parquet({"n": list(range(100))})).read_bytes()
    with pytest.raises(FileError, match=r"^a\.parquet: broken Parquet data \(.*get or write the file again"):
        read(write(data[:cut], "a.parquet"))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.parquet"])
def test_a_file_that_is_gone_is_a_fault(name: str) -> None:
    splits = plan_splits([write(b"{}\n", name)])
    Path(name).unlink()
    with pytest.raises(EnvironmentFault, match=f"{name}: cannot be read: .*No such file or directory"):
        list(read_blocks(splits[0]))


def test_a_file_that_shrank_is_a_fault() -> None:
    splits = plan_splits([write(b"{}\n{}\n")])
    write(b"{}\n")
    with pytest.raises(EnvironmentFault, match=r"a\.jsonl: ends at byte 3, but had 6 bytes when"):
        list(read_blocks(splits[0]))


def test_a_folder_that_took_the_place_of_a_file_is_a_fault() -> None:
    Path("d").mkdir()
    with pytest.raises(EnvironmentFault, match="d: cannot be read: Is a directory"):
        list(read_blocks(Split("d", 0, 0, None)))


# Text that is no JSON

TABLES = [
    (b"a,b\n1,2\n", "CSV of 2 columns; export it as JSON lines"),
    (b'a,b,c\n"1, 2",3,4\n"5\n6",7,8\n', "CSV of 3 columns; export it as JSON lines"),
    (b"a;b\n1,5;2\n", "CSV of 2 columns; export it as JSON lines"),
    (b"a\tb, c\n1\t2\n\n3\t4\n", "TSV of 2 columns; export it as JSON lines"),
    (
        b"One.\nTwo.\nThree, four.\nFive.\nSix.\n",
        "text: none of its first 5 lines is JSON; export the data as JSON lines",
    ),
]


@pytest.mark.parametrize(("data", "message"), TABLES)
def test_text_that_is_no_json_is_told_once(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(data)
    with pytest.raises(FileError) as problem:
        list(read_blocks(plan_splits([str(path)])[0]))
    assert (problem.value.code, str(problem.value)) == ("wrong_format", f"{path}: {message}")


@pytest.mark.parametrize(
    "data",
    [
        b'a,b\n{"text": "a"}\n',  # the rest may be fine
        b"One.\nTwo.\n",
        b'"a","b"\n',
        b"1\n2\n3\n4\n5\n6\n",
        b"",
        b"\n\n",
    ],
)
def test_a_few_bad_lines_are_told_one_by_one(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(data)
    lines = [line for block in read_blocks(plan_splits([str(path)])[0]) for line in block.lines]
    assert lines == data.split(b"\n")[: len(lines)]
