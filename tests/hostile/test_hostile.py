"""Hostile input: one clear message with its place, for every kind that we could think of."""

import bz2
import gzip
import json
import lzma
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import files
import grammar
import lines
import pytest
import zstandard
from conftest import CONFIGS, Ended, jsonl, make, run_sftcli

from sftcli.errors import BadRecordsError, FileError, RecordError, Reject
from sftcli.parse import decode_line, decode_lines, make_reject
from sftcli.parse.line import _decode_any
from sftcli.plan import plan_splits
from sftcli.read import read_blocks
from sftcli.rules.catalogue import BY_NAME

GOOD = lines.GOOD
TEMPLATES = {"alpaca": "alpaca", "messages": "chatml", "sharegpt": "chatml"}


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def prepare(name: str, record_format: str = "text", **options: Any) -> Any:
    template = TEMPLATES.get(record_format)
    return make(
        "out", name, record_format=record_format, **{"template": template} if template else {}, **options
    )


def bad_records(*written: bytes, record_format: str = "text") -> list[Reject]:
    """What a run says of a file of these lines."""
    Path("a.jsonl").write_bytes(b"\n".join(written) + b"\n")
    with pytest.raises(BadRecordsError) as caught:
        prepare("a.jsonl", record_format)
    assert caught.value.exit_code == 1
    assert not Path("out").exists()
    return caught.value.rejects


def ids(cases: list[Any]) -> list[str]:
    return [case[0].replace(" ", "-") for case in cases]


# --- the grammar

ACCEPT = [(kind, *case) for kind, cases in grammar.ACCEPT.items() for case in cases]
REJECT = [(kind, *case) for kind, cases in grammar.REJECT.items() for case in cases]


def record(value: bytes) -> bytes:
    return b'{"text": "a", "v": ' + value + b"}"


@pytest.mark.parametrize(("kind", "value", "expected"), ACCEPT)
def test_json_that_must_be_taken(kind: str, value: bytes, expected: Any) -> None:
    assert decode_line(record(value)) == {"text": "a", "v": expected}
    assert decode_lines([record(value)]) == [{"text": "a", "v": expected}]


def test_a_run_takes_them_all() -> None:
    Path("a.jsonl").write_bytes(b"\n".join(record(value) for _, value, _ in ACCEPT))
    assert prepare("a.jsonl").counts.rows == len(ACCEPT)


@pytest.mark.parametrize(("kind", "value", "offset", "code"), REJECT)
def test_json_that_must_be_refused(kind: str, value: bytes, offset: int, code: str) -> None:
    with pytest.raises(RecordError) as caught:
        decode_line(record(value))
    problem = caught.value
    assert (problem.code, problem.column) == (code, 20 + offset)


def test_a_run_refuses_each_of_them_at_its_place() -> None:
    found = bad_records(GOOD["text"], *(record(value) for _, value, _, _ in REJECT[:20]))
    assert [(bad.line, bad.column, bad.code) for bad in found] == [
        (number, 20 + offset, code) for number, (_, _, offset, code) in enumerate(REJECT[:20], 2)
    ]
    Path("a.jsonl").write_bytes(b"\n".join([GOOD["text"], *(record(value) for _, value, _, _ in REJECT)]))
    counts = prepare("a.jsonl", on_error="skip").counts
    codes = [code for *_, code in REJECT]
    assert dict(counts.rejected) == {code: codes.count(code) for code in set(codes)}


# --- lines


@pytest.mark.parametrize(
    ("name", "format_", "line", "column", "code", "part"), lines.LINES, ids=ids(lines.LINES)
)
def test_bad_lines(name: str, format_: str, line: bytes, column: int, code: str, part: str) -> None:
    (bad,) = bad_records(GOOD[format_], line, GOOD[format_], record_format=format_)
    assert str(bad).startswith(f"a.jsonl:2:{column}: {BY_NAME[code].code} {code}: ")
    assert part in bad.message
    assert bad.raw == line
    assert bad.byte == len(GOOD[format_]) + 1


@pytest.mark.parametrize(("name", "format_", "line"), lines.FINE, ids=ids(lines.FINE))
def test_odd_lines_that_are_fine(name: str, format_: str, line: bytes) -> None:
    Path("a.jsonl").write_bytes(line)
    assert prepare("a.jsonl", format_).counts.rows == 1


def test_names_of_the_users_own_are_read_too() -> None:
    Path("a.jsonl").write_bytes(
        b'{"q": "a", "r": "b", "output": 1, "output": 2}\n{"q": "a", "r": "b", "r": "c"}'
    )
    with pytest.raises(BadRecordsError) as caught:
        prepare("a.jsonl", "alpaca", field={"instruction": "q", "output": "r"})
    assert [str(bad) for bad in caught.value.rejects] == [
        "a.jsonl:2:22: J014 duplicate_key: 'r' is given twice; remove one of the two"
    ]


def test_fields_that_a_template_names_are_read_too() -> None:
    Path("t.yaml").write_text('prompt: "{question}"\ncompletion: "{answer}"\n')
    Path("a.jsonl").write_bytes(b'{"question": "a", "answer": "b", "id": 1, "id": 2, "question": "c"}')
    with pytest.raises(BadRecordsError) as caught:
        make("out", "a.jsonl", template="t.yaml")
    assert str(caught.value.rejects[0]).startswith(
        "a.jsonl:1:52: J014 duplicate_key: 'question' is given twice"
    )


def test_wherever_a_file_is_split_its_errors_are_the_same() -> None:
    cases = [case for case in lines.LINES if len(case[2]) < 2000]
    Path("a.jsonl").write_bytes(b"\n".join([GOOD["text"], *(case[2] for case in cases)]))

    def errors(split_size: int, block_bytes: int) -> list[str]:
        found = []
        for split in plan_splits(["a.jsonl"], split_size):
            for block in read_blocks(split, block_bytes):
                for index, problem in enumerate(decode_lines(block.lines)):
                    if isinstance(problem, RecordError):
                        place = (block.file, block.first_line + index, block.byte_of(index))
                        found.append(str(make_reject(problem, block.lines[index], *place)))
        return found

    whole = errors(1 << 20, 1 << 20)
    assert len(whole) > 50
    for size in (1, 10, 100, 333, 1000):
        assert errors(size, 1 << 20) == whole
        assert errors(size, 7) == whole


# --- keys given twice, among all sorts of lines


def random_value(random_: random.Random, depth: int = 0) -> str:
    kind = random_.randrange(5 if depth < 3 else 2)
    if kind < 2:
        return random_.choice([r'"a"', r'": \": :"', r'"\\"', "1", "null", r'"\\\":"', '":"', '"! :"'])
    parts = [random_value(random_, depth + 1) for _ in range(random_.randrange(3))]
    if kind == 2:
        return f"[{','.join(parts)}]"
    keys = [random_.choice(['"a"', '"b"', r'"\u0061"', r'"\""', r'"\\"', '""', '"role"']) for _ in parts]
    space = [random_.choice(["", " ", "\t "]) for _ in parts]
    members = (f"{key}{gap}:{part}" for key, gap, part in zip(keys, space, parts, strict=True))
    return "{" + ",".join(members) + "}"


def test_every_key_given_twice_is_found() -> None:
    """The quick way against the obvious one: all keys of all objects, where everything is read."""
    random_ = random.Random(4)
    written = [f'{{"tools": {random_value(random_)}}}'.encode() for _ in range(3000)]

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        seen.append(len(dict(items)) < len(items))
        return dict(items)

    expected = []
    for line in written:
        seen: list[bool] = []
        json.loads(line, object_pairs_hook=pairs)
        expected.append(any(seen))
    assert 100 < sum(expected) < 2900
    found = [isinstance(item, RecordError) for item in decode_lines(written)]
    assert found == expected
    assert [isinstance(_caught(line), RecordError) for line in written] == expected


def _caught(line: bytes) -> object:
    try:
        return decode_line(line)
    except RecordError as problem:
        return problem


def test_the_shallow_decoder_reads_as_the_plain_one() -> None:
    written = [record(value) for _, value, _ in ACCEPT] + [line for *_, line in lines.FINE]
    assert decode_lines(written) == [_decode_any(line) for line in written]


# --- files


@pytest.mark.parametrize(("name", "file", "data", "code", "part"), files.FILES, ids=ids(files.FILES))
def test_bad_files(name: str, file: str, data: bytes, code: str, part: str) -> None:
    Path(file).write_bytes(data)
    with pytest.raises(FileError) as caught:
        prepare(file)
    problem = caught.value
    assert (problem.code, problem.exit_code) == (code, 1)
    assert str(problem).startswith(f"{file}:")
    assert f":{part}" in str(problem) if part[0].isdigit() else part in str(problem)
    assert not Path("out").exists()


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor().compress,
}


def read(name: str) -> bytes:
    """The file's lines as they are read."""
    blocks = read_blocks(plan_splits([name])[0])
    return b"".join(line + b"\n" for block in blocks for line in block.lines)


@pytest.mark.parametrize("suffix", sorted(COMPRESS))
def test_a_run_finds_a_cut_in_any_place(suffix: str) -> None:
    """Cut in 50 places of a file of two streams, whose text is longer than a block."""
    random_ = random.Random(7)
    data = jsonl(*({"text": random_.randbytes(400).hex()} for _ in range(1500)))
    streams = [COMPRESS[suffix](data[: len(data) // 3]), COMPRESS[suffix](data[len(data) // 3 :])]
    whole = b"".join(streams)
    for number in range(50):
        end = len(whole) - 1 - number if number < 10 else len(whole) * number // 50
        assert end != len(streams[0])
        Path(f"a.jsonl.{suffix}").write_bytes(whole[:end])
        with pytest.raises(FileError, match="breaks off after") as caught:
            read(f"a.jsonl.{suffix}")
        assert caught.value.code == "truncated"
    with pytest.raises(FileError, match="breaks off after"):
        prepare(f"a.jsonl.{suffix}")
    assert not Path("out").exists()


@pytest.mark.parametrize("suffix", sorted(COMPRESS))
def test_a_flipped_bit_is_found_or_changes_nothing(suffix: str) -> None:
    """Wherever the format has a checksum; of zstd's frames those that carry one."""
    data = jsonl(*({"text": f"{number} {number * number}"} for number in range(200)))
    compress = files.ZSTD if suffix == "zst" else COMPRESS[suffix]
    whole = bytearray(compress(data))
    random_, codes = random.Random(3), set()
    for place in random_.sample(range(len(whole)), 100):
        whole[place] ^= 1 << random_.randrange(8)
        Path(f"a.jsonl.{suffix}").write_bytes(whole)
        try:
            assert read(f"a.jsonl.{suffix}") == data
        except FileError as problem:
            codes.add(problem.code)
        whole = bytearray(compress(data))
    assert codes <= {"corrupt", "truncated", "trailing_garbage", "wrong_extension", "needs_memory"}
    assert "corrupt" in codes


# --- what is no file, and how a process ends


def hostile(*args: str, stdin: bytes = b"") -> Ended:
    ended = run_sftcli("prepare", *args, "-t", "demo", "--record-format", "text", "-o", "out", stdin=stdin)
    assert "Traceback" not in ended.err
    assert "bug in sftcli" not in ended.err
    return ended


def test_a_folder() -> None:
    Path("d.jsonl").mkdir()
    ended = hostile("d.jsonl")
    assert (ended.code, ended.err) == (
        2,
        "error: d.jsonl: is a folder; name the files in it, such as 'd.jsonl/*.jsonl'\n",
    )


def test_a_link_to_nothing() -> None:
    Path("a.jsonl").symlink_to("gone.jsonl")
    ended = hostile("a.jsonl")
    assert (ended.code, ended.err) == (2, "error: a.jsonl: a link to gone.jsonl, which does not exist\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read() -> None:
    Path("a.jsonl").write_bytes(GOOD["text"])
    Path("a.jsonl").chmod(0)
    ended = hostile("a.jsonl")
    assert (ended.code, ended.err) == (3, "error: a.jsonl: cannot be read: Permission denied\n")


def test_a_pipe_with_a_name() -> None:
    os.mkfifo("a.jsonl")
    with subprocess.Popen(["sh", "-c", 'printf \'{"text": "a"}\\n{"text": x}\\n\' > a.jsonl']):
        ended = hostile("a.jsonl")
    assert (ended.code, ended.err.splitlines()[0]) == (
        1,
        "a.jsonl:2:10: J002 json: expected a value, found 'x'",
    )


def test_standard_input() -> None:
    ended = hostile("-", stdin=b'{"text": "a"}\n{"text": NaN}\n')
    assert ended.code == 1
    assert ended.err.startswith(
        "-:2:10: J016 not_json_constant: NaN is not JSON; write null, or drop the record\n"
    )


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "a.jsonl",
            files.GZ,
            "error: J104 wrong_extension: a.jsonl: gz data; give it a name that ends in .gz\n",
        ),
        (
            "a.jsonl.gz",
            files.GZ[:-3],
            "error: J101 truncated: a.jsonl.gz: the gz data breaks off after 28 bytes of text: ",
        ),
        ("a.jsonl", b"\x1b[31m\n", "error: a.jsonl:1:1: J002 json: expected a value, found '\\x1b'\n"),
        (
            "a.json",
            b'[{"text": "a"},]',
            "error: J010 trailing_comma: a.json:1:15: a malformed JSON array: a comma with nothing ",
        ),
    ],
)
def test_how_a_process_says_it(name: str, data: bytes, message: str) -> None:
    Path(name).write_bytes(data)
    ended = hostile(name)
    assert ended.code == 1
    assert ended.err.startswith(message)
    assert ended.out == ""


# --- bounded memory and time


# A small process between this one and the one that is measured: Linux counts the memory of whoever begins
# a process as that process's own.
_MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def measured(name: str) -> tuple[str, float, float]:
    """What a run says, its seconds, and its largest memory in MB."""
    before = time.monotonic()
    command = [sys.executable, "-m", "sftcli", "prepare", name, "-t", "demo", "--record-format", "text"]
    ended = subprocess.run(
        [sys.executable, "-c", _MEASURE, *command, "-o", "out"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(CONFIGS.parent)},
        text=True,
        check=True,
    )
    code, peak = map(int, ended.stdout.split())
    assert code == 1, ended.stderr
    return ended.stderr.splitlines()[0], time.monotonic() - before, peak / 1024


def _sparse(name: str, size: int, head: bytes, tail: bytes) -> None:
    with open(name, "wb") as file:
        file.write(head)
        file.seek(size)
        file.write(tail)


def _bomb(name: str) -> None:
    stream = gzip.compress(bytes(1 << 26), mtime=0)
    Path(name).write_bytes(gzip.compress(b'{"text": "a"}\n', mtime=0) + stream * 16)


GIB = 1 << 30
HUGE: list[tuple[str, str, Callable[[str], object], str]] = [
    (
        "a line of 1 GiB",
        "a.jsonl",
        lambda name: _sparse(name, GIB, b'{"text": "a"}\n', b"\n"),
        "2:1: J004 line_too_long",
    ),
    (
        "an element of 1 GiB",
        "a.json",
        lambda name: _sparse(name, GIB, b'[{"text": "a"},"', b'"]'),
        "2:1: J004 line_too_long",
    ),
    ("1 GiB of zeros in 1 MiB", "a.jsonl.gz", _bomb, "2:1: J004 line_too_long"),
    (
        "a number of 10 MB",
        "a.jsonl",
        lambda name: Path(name).write_bytes(b'{"text": "a"}\n{"text": ' + b"9" * 10_000_000 + b"}\n"),
        "2:10: J017 number_out_of_range",
    ),
    (
        "64 MiB and a byte",
        "a.jsonl",
        lambda name: _sparse(name, 14 + (64 << 20), b'{"text": "a"}\n', b"x\n"),
        "2:1: J004 line_too_long",
    ),
    (
        "brackets without end",
        "a.jsonl",
        lambda name: Path(name).write_bytes(b'{"text": "a"}\n' + b"[" * 20_000_000),
        "2:129: J013 too_deep",
    ),
    (
        "a fault at the end of 60 MB",
        "a.jsonl",
        lambda name: Path(name).write_bytes(
            b'{"text": "a"}\n{"text": "' + b"x" * 60_000_000 + b'", "v": NaN}'
        ),
        "2:60000019: J016 not_json_constant",
    ),
]


@pytest.mark.parametrize(("name", "file", "write", "place"), HUGE, ids=ids(HUGE))
def test_memory_and_time_are_bounded(
    name: str, file: str, write: Callable[[str], object], place: str
) -> None:
    write(file)
    said, seconds, megabytes = measured(file)
    assert said.startswith(f"{file}:{place}: ")
    assert seconds < 30
    assert megabytes < 900


def test_a_line_of_exactly_the_limit_is_read() -> None:
    size = 64 << 20
    head, tail = b'{"text": "', b'"}'
    Path("a.jsonl").write_bytes(head + b"x" * (size - len(head) - len(tail)) + tail + b"\n")
    blocks = [block for split in plan_splits(["a.jsonl"]) for block in read_blocks(split)]
    assert [len(line) for block in blocks for line in block.lines] == [size]
    found = decode_line(blocks[0].lines[0])
    assert found is not None
    assert len(found["text"]) == size - len(head) - len(tail)
