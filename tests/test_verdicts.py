"""The verdict of the gate: it outlives its reader, and options on the command line win over a file's."""

import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from conftest import CONFIGS, Here, jsonl, make, write

from sftcli.config import load_config
from sftcli.errors import ConfigError
from sftcli.validate.settings import Settings, load_settings
from sftcli.validate.validate import validate

pytestmark = pytest.mark.usefixtures("own_folder")

GOOD = {"prompt": "2+2=", "completion": "4"}
EMPTY = {"prompt": "Hi", "completion": ""}


def read_by_nobody(*args: str, both: bool = False) -> int:
    """The exit code of a command whose output goes to a pipe that is closed already."""
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-m", "sftcli", *args],
        stdout=writer,
        stderr=writer if both else subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(CONFIGS.parent)},
        check=False,
    )
    os.close(writer)
    return ended.returncode


@pytest.mark.parametrize("both", [False, True])
def test_the_verdict_outlives_its_reader(both: bool) -> None:
    write(Path("bad.jsonl"), *[EMPTY] * 2_000)
    write(Path("good.jsonl"), GOOD)
    for more in ([], ["--statistics"], ["--json"], ["-o", "found.txt"], ["--max-bad", "1"]):
        assert read_by_nobody("validate", "bad.jsonl", *more, both=both) == 1
    assert read_by_nobody("validate", "good.jsonl", both=both) == 0
    make("out", "good.jsonl", template="plain")
    assert read_by_nobody("verify", "out", both=both) == 0
    (Path("out") / "README.md").write_text("")
    assert read_by_nobody("verify", "out", both=both) == 1


# Options over a file's


def settings(text: str, **flags: object) -> Settings:
    Path("pyproject.toml").write_text(f"[tool.sftcli]\n{text}\n")
    return load_settings(None, flags)[0]


def test_select_stands_in_for_all_that_the_file_says_of_rules() -> None:
    text = 'select = ["J"]\nextend-select = ["C013"]\nignore = ["C001"]'
    assert settings(text, select=["C001"]) == Settings(select=["C001"])
    assert settings(text, select=["C001"], ignore=["R"]) == Settings(select=["C001"], ignore=["R"])
    added = settings(text, extend_select=["C016"], ignore=["R"])
    assert added == Settings(select=["J"], extend_select=["C013", "C016"], ignore=["C001", "R"])


def test_limits_of_rules_are_taken_one_by_one() -> None:
    found = settings('fail-over = {T001 = "1%", bidi_character = 3}', fail_over={"too-long": "2%", "d": "5"})
    assert found.fail_over == {"T001": "2%", "C009": 3, "D": "5"}


def test_zero_is_a_value() -> None:
    assert settings("overlap = 0.7", overlap=0.0).overlap == 0
    assert settings("overlap = 0").overlap == 0
    with pytest.raises(ConfigError, match="vocab_size: expected 1 or more, found 0"):
        settings("", vocab_size=0)


@pytest.mark.parametrize("flag", ["--select", "--ignore", "--extend-select"])
@pytest.mark.parametrize("value", ["", ",", " "])
def test_an_option_that_names_no_rule_is_a_mistake(flag: str, value: str, sftcli_here: Here) -> None:
    write(Path("data.jsonl"), GOOD)
    ended = sftcli_here("validate", "data.jsonl", flag, value)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: {flag} {value!r}: names no rule")


def test_paths_of_a_pyproject_are_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'inputs = ["data/*.jsonl", "-", "/abs.jsonl"]\nagainst = ["test.jsonl"]\n'
    Path("pyproject.toml").write_text(f'[tool.sftcli]\n{text}tokenizer = "model"\ntemplate = "llama3"\n')
    Path("model").mkdir()
    Path("sub/folder").mkdir(parents=True)
    monkeypatch.chdir("sub/folder")
    found, rest = load_settings(None, {})
    assert found.against == ["../../test.jsonl"]
    assert rest["inputs"] == ["../../data/*.jsonl", "-", "/abs.jsonl"]
    assert (rest["tokenizer"], rest["template"]) == ("../../model", "llama3")


def test_keys_have_dashes_or_underscores(sftcli_here: Here) -> None:
    write(Path("data.jsonl"), GOOD)
    Path("gate.yaml").write_text("max-length: 7\nmax-bad: 1%\n")
    found, rest = load_settings("gate.yaml", {})
    assert (found.max_bad, rest) == ("1%", {"max_length": 7})
    Path("own.yaml").write_text("max-length: 7\n")
    assert load_config("own.yaml", {}).max_length == 7
    for key, where in (("max-length", "prepare"), ("max-bad", "validate")):
        text = f"{key}: 7\n{key.replace('-', '_')}: 8\n"
        Path("both.yaml").write_text(text)
        ended = sftcli_here(where, "data.jsonl", "--config", "both.yaml")
        assert ended.code == 2
        assert "are one key; remove one of the two" in ended.err


def test_prepare_says_whose_keys_those_of_the_gate_are(sftcli_here: Here) -> None:
    Path("gate.yaml").write_text("tokenizer: demo\nfail-over: {C001: 1%}\n")
    ended = sftcli_here("prepare", "data.jsonl", "--config", "gate.yaml")
    assert ended.code == 2
    assert ended.err == (
        "error: gate.yaml:2:1: fail_over is read by `sftcli validate` alone; give it a config of its own\n"
    )


# What is written


def test_statistics_as_json(sftcli_here: Here) -> None:
    write(Path("data.jsonl"), GOOD, EMPTY, EMPTY, {"prompt": "a"})
    ended = sftcli_here("validate", "data.jsonl", "--statistics", "--json")
    assert (ended.code, json.loads(ended.out)) == (1, {"C001": 2, "R002": 1})
    assert list(json.loads(ended.out)) == ["C001", "R002"]
    ended = sftcli_here("validate", "data.jsonl", "--statistics", "--format", "sarif")
    assert (ended.code, ended.out) == (2, "")
    as_json = sftcli_here("validate", "data.jsonl", "--json")
    assert as_json == sftcli_here("validate", "data.jsonl", "--format", "json")


@pytest.mark.parametrize(
    ("suffix", "unpack"),
    [
        ("gz", gzip.decompress),
        ("bz2", bz2.decompress),
        ("xz", lzma.decompress),
        ("zst", lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)),
    ],
)
def test_mended_data_is_packed_as_its_name_says(
    suffix: str, unpack: Callable[[bytes], bytes], sftcli_here: Here
) -> None:
    Path("data.jsonl").write_bytes(jsonl(GOOD) + b"\n" + jsonl({"prompt": "a", "completion": "b"}))
    packed = []
    for name in (f"one.jsonl.{suffix}", f"two.jsonl.{suffix}"):
        ended = sftcli_here("validate", "data.jsonl", "--fix", "-o", name)
        assert (ended.code, ended.out) == (0, "All checks passed: 2 records in 1 file\n")
        packed.append(Path(name).read_bytes())
    assert packed[0] == packed[1]
    assert unpack(packed[0]) == jsonl(GOOD, {"prompt": "a", "completion": "b"})


def test_verify_takes_patterns_and_leaves_rules_out(sftcli_here: Here) -> None:
    write(Path("data.jsonl"), GOOD)
    for name in ("a", "b"):
        make(f"sets/{name}", "data.jsonl", template="plain")
    assert sftcli_here("verify", "sets/*").out == "All checks passed: 2 rows in 10 files\n"
    (Path("sets/b") / "notes.txt").touch()
    assert sftcli_here("verify", "sets/*", "--strict").code == 1
    for rule in ("V019", "stray-file"):
        assert sftcli_here("verify", "sets/*", "--strict", "--ignore", rule).code == 0
    ended = sftcli_here("verify", "sets/b", "--ignore", "V19")
    assert (ended.code, ended.err) == (2, "error: no rule 'V19'; did you mean V019 (stray_file)?\n")
    assert "no folder matches this pattern" in sftcli_here("verify", "none/*").err


# Unknown tokens


def test_an_unknown_token_is_one_of_the_data(tmp_path: Path) -> None:
    """The template's own tokens are none of the data, and byte-level tokenizers know all bytes."""
    words = {"version": "1.0", "normalizer": None, "post_processor": None, "decoder": None}
    words["added_tokens"] = [  # type: ignore[assignment]
        {"id": 0, "content": "?", "special": True, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False}
    ]  # fmt: skip
    words["pre_tokenizer"] = {"type": "Whitespace"}  # type: ignore[assignment]
    words["model"] = {"type": "WordLevel", "vocab": {"?": 0, "Hi": 1, "Yes": 2}, "unk_token": "?"}  # type: ignore[assignment]
    Path("words.json").write_text(json.dumps(words))
    write(Path("data.jsonl"), {"prompt": "Hi", "completion": " Yes"}, {"prompt": "Hi", "completion": " No"})
    options = {"inputs": ["data.jsonl"], "tokenizer": "words.json", "eos_token": "?"}
    found = validate(load_config(None, options), Settings(select=["T007"])).findings.kept
    assert [(one.line, one.message) for one in found] == [(2, "1 of its tokens are the unknown token")]
    gpt2 = {"inputs": ["data.jsonl"], "tokenizer": "demo", "template": "plain"}
    assert validate(load_config(None, gpt2), Settings(select=["T007"])).findings.kept == []
