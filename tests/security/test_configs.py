"""Configs, layouts and settings are read as data, of a size and a depth that people write.

`test_config.py` has aliases, tags that name code, keys that are there twice, and words such as `no`.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TALKS, Ended, run_sftcli, write

Here = Callable[..., Ended]
LARGE = "a config or template of over 1 MiB is not read"
DEEP = "a value that cannot be read (RecursionError: maximum recursion depth exceeded"


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("in.jsonl"), *TALKS)


YAML = {
    "deep lists": (b"system: " + b"[" * 500_000, f"c.yaml: {DEEP}"),
    "deep lists, closed": (b"system: " + b"[" * 5_000 + b"]" * 5_000, f"c.yaml: {DEEP}"),
    "deep blocks": (b"".join(b" " * depth + b"a:\n" for depth in range(1_400)), f"c.yaml: {DEEP}"),
    "questions": (b"? " * 200_000, f"c.yaml: {DEEP}"),
    "a number of a million digits": (
        b"limit: " + b"9" * 1_000_000,
        "c.yaml:1:8: 99999999999999999999... is no number that is read here",
    ),
    "hexadecimal": (
        b"limit: 0x" + b"f" * 1_000_000,
        "c.yaml:1:8: 0xffffffffffffffffff... is no number that is read here",
    ),
    "hours and minutes": (
        b"limit: 1" + b":59" * 340_000,
        "c.yaml:1:1: limit: expected a whole number, found text",
    ),
    "hours that say they are a number": (
        b"limit: !!int 1:59",
        "c.yaml:1:8: 1:59... is no number that is read here",
    ),
    "a letter beyond all": (
        b'system: "\\UFFFFFFFF"',
        "c.yaml: a value that cannot be read (OverflowError: Python int too large to convert to C int)",
    ),
    "NUL": (
        b'system: "a\0b"',
        "c.yaml: a value that cannot be read (ReaderError: unacceptable character #x0000: special characters "
        "are not allowed",
    ),
    "a C1 control": (
        "syst\x9bem: x".encode(),
        "c.yaml: a value that cannot be read (ReaderError: unacceptable character #x009b: special characters "
        "are not allowed",
    ),
    "UTF-16": ("system: x".encode("utf-16"), "c.yaml: not UTF-8 at byte 0"),
    "a pickle": (
        b"system: !!python/object/new:os.system [touch ran]",
        "c.yaml:1:9: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object",
    ),
    "a function": (
        b"%TAG ! tag:yaml.org,2002:python/\n---\nsystem: !name:os.system x",
        "c.yaml:3:9: could not determine a constructor for the tag 'tag:yaml.org,2002:python/name:os.system'",
    ),
    "a merge": (
        b"<<: {system: x}",
        "c.yaml:1:1: could not determine a constructor for the tag 'tag:yaml.org,2002:merge'",
    ),
    "a key that is a list": (b"[a]: 1", "c.yaml:1:1: key ['a'] is not text; put it in quotes"),
    "a key with escapes": (
        b'"\\x1b[31m\\n::error::x": 1',
        "c.yaml: unknown key '\\x1b[31m\\n::error::x'; `sftcli prepare --help` lists them",
    ),
}


@pytest.mark.parametrize("case", YAML)
def test_a_config_that_nobody_writes_is_refused(sftcli_here: Here, case: str) -> None:
    raw, message = YAML[case]
    Path("c.yaml").write_bytes(raw)
    ended = sftcli_here("prepare", "in.jsonl", "-t", "demo", "-o", "out", "--config", "c.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: {message}")
    assert len(ended.err) < 400
    assert not Path("ran").exists()
    assert not Path("out").exists()


OPTIONS = {
    "c.yaml": ("prepare", "in.jsonl", "-t", "demo", "-o", "out", "--config", "c.yaml"),
    "t.yaml": ("prepare", "in.jsonl", "-t", "demo", "-o", "out", "--template", "t.yaml"),
    "t.jinja": ("prepare", "in.jsonl", "-t", "demo", "-o", "out", "--template", "t.jinja"),
    "s.yaml": ("validate", "in.jsonl", "--config", "s.yaml"),
    "pyproject.toml": ("validate", "in.jsonl"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_file_of_any_size_is_not_read(name: str) -> None:
    Path(name).touch()
    os.truncate(name, 20 << 30)  # of which the disk holds nothing
    ended = run_sftcli(*OPTIONS[name])
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith(f"{name}: 21474836480 bytes; {LARGE}\n")


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "pyproject.toml"])
def test_a_file_without_an_end_is_not_read(name: str) -> None:
    Path(name).symlink_to("/dev/zero")
    ended = run_sftcli(*OPTIONS[name])
    assert ended == Ended(2, "", f"error: {name}: 1048577 bytes; {LARGE}\n")


TOML = {
    "deep lists": (b"a = " + b"[" * 19_000, "not TOML: maximum recursion depth exceeded"),
    "a number": (b"a = " + b"9" * 9_000, "not TOML: Exceeds the limit (4300 digits)"),
    "a long line": (b"[" + b"a." * 100_000 + b"a]", "has a line of over 20,000 bytes, which is not read"),
    "no text": (
        b"\xff\xfe",
        "not TOML: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ),
    "a key with escapes": (
        b'[tool.sftcli]\n"\\u001b[31m" = 1',
        "[tool.sftcli]: unknown key '\\x1b[31m'; `sftcli validate --help` lists them",
    ),
}


@pytest.mark.parametrize("case", TOML)
def test_settings_that_nobody_writes_are_refused(sftcli_here: Here, case: str, tmp_path: Path) -> None:
    raw, message = TOML[case]
    Path("pyproject.toml").write_bytes(raw)
    ended = sftcli_here("validate", "in.jsonl")
    assert (ended.code, ended.out) == (2, "")
    said = ended.err.removeprefix(f"error: {tmp_path}/pyproject.toml").lstrip(": ")
    assert said.startswith(message)
