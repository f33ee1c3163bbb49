"""Inputs -> splits."""

import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftcli.errors import ConfigError, EnvironmentFault, UsageError
from sftcli.plan import Split, bytes_of, plan_splits, size_of


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, data: bytes = b"{}\n") -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(data)
    return name


def bounds(splits: list[Split]) -> list[tuple[int, int | None]]:
    return [(split.start, split.end) for split in splits]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jsonl", Split("a.jsonl", 0, 0, 3)),
        ("a", Split("a", 0, 0, 3)),
        ("a.JSONL", Split("a.JSONL", 0, 0, 3)),
        ("a.json", Split("a.json", 0, 0, None, None, "json")),
        ("a.parquet", Split("a.parquet", 0, 0, None, None, "parquet")),
        ("a.jsonl.gz", Split("a.jsonl.gz", 0, 0, None, "gz")),
        ("a.gz", Split("a.gz", 0, 0, None, "gz")),
        ("a.jsonl.bz2", Split("a.jsonl.bz2", 0, 0, None, "bz2")),
        ("a.jsonl.xz", Split("a.jsonl.xz", 0, 0, None, "xz")),
        ("a.jsonl.ZST", Split("a.jsonl.ZST", 0, 0, None, "zst")),
        ("a.json.gz", Split("a.json.gz", 0, 0, None, "gz", "json")),
    ],
)
def test_the_name_says_how_an_input_is_read(name: str, expected: Split) -> None:
    assert plan_splits([write(name)]) == [expected]


def test_standard_input_is_one_split() -> None:
    assert plan_splits(["-"]) == [Split("-", 0, 0, None)]


def test_an_empty_file_is_a_split() -> None:
    assert plan_splits([write("a.jsonl", b"")]) == [Split("a.jsonl", 0, 0, 0)]


def test_a_pipe_is_one_split() -> None:
    os.mkfifo("pipe.jsonl")
    assert plan_splits(["pipe.jsonl"]) == [Split("pipe.jsonl", 0, 0, None)]


@pytest.mark.parametrize(
    ("data", "split_size", "expected"),
    [
        (b"aa\nbb\ncc\n", 9, [(0, 9)]),
        (b"aa\nbb\ncc\n", 8, [(0, 6), (6, 9)]),
        (b"a\nbbbbbb\n", 8, [(0, 9)]),  # no line starts in the second half
        (b"aa\nbb\ncc\n", 6, [(0, 6), (6, 9)]),
        (b"aa\nbb\ncc\n", 5, [(0, 6), (6, 9)]),
        (b"aa\nbb\ncc\n", 3, [(0, 3), (3, 6), (6, 9)]),
        (b"aa\nbb\ncc\n", 1, [(0, 3), (3, 6), (6, 9)]),
        (b"aa\nbb\ncc", 4, [(0, 6), (6, 8)]),
        (b"aaaaaaaaaa\nb\n", 2, [(0, 11), (11, 13)]),  # one cut for the long line, not five
        (b"aaaaaaaaaa", 2, [(0, 10)]),
        (b"\n\n\n", 1, [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_files_are_cut_where_lines_start(
    data: bytes, split_size: int, expected: list[tuple[int, int]]
) -> None:
    assert bounds(plan_splits([write("a.jsonl", data)], split_size)) == expected


@given(st.text("a\n", max_size=60), st.integers(1, 20))
def test_splits_join_to_the_file_and_begin_at_lines(text: str, split_size: int) -> None:
    data = text.encode()
    splits = plan_splits([write("a.jsonl", data)], split_size)
    assert [split.index for split in splits] == list(range(len(splits)))
    assert b"".join(data[split.start : split.end] for split in splits) == data
    starts = {0} | {i + 1 for i, byte in enumerate(data) if byte == 10}
    expected = {0}
    count = math.ceil(len(data) / split_size)
    for at in (len(data) * number // count for number in range(1, count)):
        expected |= {min((start for start in starts if start >= at), default=0)}
    assert {split.start for split in splits} == expected - {len(data)} | {0}


def test_splits_are_numbered_over_all_inputs() -> None:
    write("a.jsonl", b"1\n2\n")
    write("b.jsonl", b"3\n4\n")
    assert plan_splits(["b.jsonl", "a.jsonl"], 2) == [
        Split("b.jsonl", 0, 0, 2),
        Split("b.jsonl", 1, 2, 4),
        Split("a.jsonl", 2, 0, 2),
        Split("a.jsonl", 3, 2, 4),
    ]


def test_patterns_are_expanded_in_sorted_order() -> None:
    for name in ("d/b.jsonl", "d/a.jsonl", "d/B.jsonl", "d/c/x.jsonl", "d/f.jsonl/inside"):
        write(name)
    assert [split.file for split in plan_splits(["d/*.jsonl"])] == ["d/B.jsonl", "d/a.jsonl", "d/b.jsonl"]
    files = [split.file for split in plan_splits(["d/**/*.jsonl"])]
    assert files == ["d/B.jsonl", "d/a.jsonl", "d/b.jsonl", "d/c/x.jsonl"]


def test_a_file_whose_name_looks_like_a_pattern_is_itself() -> None:
    write("a[1].jsonl")
    write("a1.jsonl")
    assert [split.file for split in plan_splits(["a[1].jsonl"])] == ["a[1].jsonl"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "no input: name a file, a pattern such as 'data/*.jsonl', or - for standard input"),
        (
            ["trian.jsonl"],
            "trian.jsonl: no such file; looked for {here}/trian.jsonl; did you mean 'train.jsonl'?",
        ),
        (["d/trian.jsonl"], "d/trian.jsonl: no such file; looked for {here}/d/trian.jsonl"),
        (
            ["e/train.jsonl"],
            "e/train.jsonl: no such file; looked for {here}/e/train.jsonl, and the folder {here}/e does not "
            "exist either",
        ),
        (["*.json"], "*.json: no file matches this pattern (looked in {here})"),
        (["d"], "d: is a folder; name the files in it, such as 'd/*.jsonl'"),
        (["d/"], "d/: is a folder; name the files in it, such as 'd/*.jsonl'"),
        (
            ["train.jsonl", "train.jsonl"],
            "train.jsonl: given twice; every record would be there twice: name it once",
        ),
        (
            ["train.jsonl", "./*.jsonl"],
            "./train.jsonl: given twice, the first time as train.jsonl; every record would be there twice: "
            "name it once",
        ),
        (["-", "-"], "-: given twice; every record would be there twice: name it once"),
        (
            ["https://me:secret@host/a.jsonl"],
            "https://...: only local files are read; download it and name the file",
        ),
        (["d/x.parquet.gz"], "d/x.parquet.gz: Parquet compresses inside the file; unpack it first"),
    ],
)
def test_inputs_that_cannot_work(inputs: list[str], message: str, tmp_path: Path) -> None:
    write("train.jsonl")
    write("d/x.parquet.gz")
    with pytest.raises(UsageError) as caught:
        plan_splits(inputs)
    assert str(caught.value) == message.format(here=tmp_path)


def test_a_link_to_a_file_is_the_same_file() -> None:
    os.symlink(write("a.jsonl"), "b.jsonl")
    with pytest.raises(UsageError, match=r"b\.jsonl: given twice, the first time as a\.jsonl"):
        plan_splits(["a.jsonl", "b.jsonl"])


def test_a_split_size_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="split size: expected 1 byte or more, found 0"):
        plan_splits([write("a.jsonl")], 0)


def test_a_name_that_cannot_be_looked_at_is_a_fault() -> None:
    with pytest.raises(EnvironmentFault, match="cannot be looked at: File name too long"):
        plan_splits(["a" * 300 + ".jsonl"])


def test_a_link_to_nothing_says_where_it_leads(tmp_path: Path) -> None:
    link = tmp_path / "a.jsonl"
    link.symlink_to("gone.jsonl")
    with pytest.raises(UsageError) as caught:
        plan_splits([str(link)])
    assert str(caught.value) == f"{link}: a link to gone.jsonl, which does not exist"


def test_compressed_files_hold_more_than_their_size() -> None:
    files = [write("a.jsonl", b"x" * 10), write("b.jsonl.gz", b"x" * 10), write("c.JSONL.ZST", b"x")]
    assert size_of([*files, "-"]) == 10 + 40 + 4


@pytest.mark.parametrize(
    ("written", "size"),
    [(7, 7), ("7", 7), ("1.5kB", 1500), ("64 MiB", 64 << 20), ("2g", 2 * 10**9), ("1GiB", 1 << 30)],
)
def test_sizes(written: int | str, size: int) -> None:
    assert bytes_of(written) == size


@pytest.mark.parametrize("written", ["", "MB", "1XB", "-1", 0, "0.1B", "1e3", "½MB"])
def test_what_is_no_size(written: int | str) -> None:
    with pytest.raises(ConfigError, match="split_size: expected"):
        bytes_of(written)
