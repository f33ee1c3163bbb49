"""The config: what stands in YAML and in flags, which of them wins, and how mistakes are told."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import CONFIGS, Ended, Here, make

from sftcli.config import COMPRESSIONS, Config, SourceOptions, load_config
from sftcli.errors import ConfigError

# Each field as it stands in YAML, and another value as it is given by flags.
FIELDS: dict[str, tuple[str, Any, tuple[str, ...], Any]] = {
    "inputs": ("[a.jsonl]", ["a.jsonl"], ("in.jsonl",), ["in.jsonl"]),
    "sources": ("[{inputs: [a.jsonl]}]", [SourceOptions(inputs=["a.jsonl"])], (), []),  # no flag
    "output": ("elsewhere", "elsewhere", ("-o", "out"), "out"),
    "tokenizer": ("nowhere", "nowhere", ("-t", "demo"), "demo"),
    "template": ("alpaca", "alpaca", ("--template", "chatml"), "chatml"),
    "template_args": ("{thinking: true}", {"thinking": True}, ("--template-arg", "day=1"), {"day": 1}),
    "spans": ("marks", "marks", ("--spans", "derived"), "derived"),
    "injected": ("train", "train", ("--injected", "mask"), "mask"),
    "record_format": ("alpaca", "alpaca", ("--record-format", "messages"), "messages"),
    "field": ("{output: answer}", {"output": "answer"}, ("--field", "messages=talk"), {"messages": "talk"}),
    "system": ('"no"', "no", ("--system", "Be brief."), "Be brief."),
    "train_on": ("all", "all", ("--train-on", "last"), "last"),
    "train_on_eos": ("none", "none", ("--train-on-eos", "last"), "last"),
    "loss_weight": (
        *("{user: 0.5}", {"user": 0.5}),
        *(("--loss-weight", "user=0.1", "--loss-weight", "assistant=2"), {"user": 0.1, "assistant": 2.0}),
    ),
    "max_length": ("7", 7, ("--max-length", "100"), 100),
    "truncation": ("drop", "drop", ("--truncation", "prompt"), "prompt"),
    "truncation_side": ("null", None, ("--truncation-side", "left"), "left"),
    "min_trained": ("3", 3, ("--min-trained", "2"), 2),
    "packing": ("none", "none", ("--packing", "bfd"), "bfd"),
    "pad": ("multiple-of:4", "multiple-of:4", ("--pad-to-multiple-of", "8"), "multiple-of:8"),
    "padding_side": ("right", "right", ("--padding-side", "left"), "left"),
    "layout": ("seq2seq", "seq2seq", ("--layout", "shifted"), "shifted"),
    "labels_dtype": ("int32", "int32", ("--labels-dtype", "int64"), "int64"),
    "columns": (
        *("[length]", ["length"]),
        *(("--columns", "source,turn_ids", "--columns", "loss_mask"), ["source", "turn_ids", "loss_mask"]),
    ),
    "keep": ("[title]", ["title"], ("--keep", "id", "--keep", "score"), ["id", "score"]),
    "profile": ("trl", "trl", ("--profile", "skyrl"), "skyrl"),
    "val_size": ('"1%"', "1%", ("--val-size", "50%"), "50%"),
    "shuffle": ("false", False, ("--shuffle",), True),
    "seed": ("0", 0, ("--seed", "2"), 2),
    "dedup": ("near:0.9", "near:0.9", ("--dedup", "none"), "none"),
    "limit": ("5", 5, ("--limit", "1"), 1),
    "on_error": ("quarantine", "quarantine", ("--on-error", "skip"), "skip"),
    "max_bad": ("1%", "1%", ("--max-bad", "2"), "2"),
    "select": ("[C, T005]", ["C", "T005"], ("--select", "R,C01", "--select", "C"), ["R", "C01", "C"]),
    "ignore": ("[C005]", ["C005"], ("--ignore", "C012,mojibake"), ["C012", "mojibake"]),
    "format": ("arrow", "arrow", ("--format", "parquet"), "parquet"),
    "compression": ("lz4", "lz4", ("--compression", "snappy"), "snappy"),
    "add_special_tokens": (
        *('["<x>"]', ["<x>"]),
        *(("--add-special-token", "<y>", "--add-special-token", "<z>"), ["<y>", "<z>"]),
    ),
    "bos_token": ("<a>", "<a>", ("--bos-token", "<b>"), "<b>"),
    "eos_token": ("<c>", "<c>", ("--eos-token", "<|im_end|>"), "<|im_end|>"),
    "pad_token": ("<d>", "<d>", ("--pad-token", "<e>"), "<e>"),
    "sep_token": ("<f>", "<f>", ("--sep-token", "<g>"), "<g>"),
    "encoder": ("fastokens", "fastokens", ("--encoder", "tokenizers"), "tokenizers"),
    "split_size": ("1MB", "1MB", ("--split-size", "64MiB"), "64MiB"),
    "num_proc": ("2", 2, ("--num-proc", "auto"), "auto"),
}
OF_SEVERAL = {"sources", "val_size"}  # not for a run of one record
NOT_TOGETHER = {"profile"}  # which says itself what other fields say in the run below
JINJA_ONLY = {"template_args", "spans", "injected"}  # not for the role template of the run below


def test_every_field_is_in_the_table() -> None:
    assert tuple(FIELDS) == Config.__struct_fields__


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_can_stand_in_yaml(tmp_path: Path, name: str) -> None:
    written, value, _, _ = FIELDS[name]
    path = tmp_path / "own.yaml"
    path.write_text(f"{name}: {written}\n")
    assert load_config(str(path), {}) == Config(**{name: value})


def test_flags_win_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here) -> None:
    """Every field in the file, and every one of them given otherwise by a flag."""
    monkeypatch.chdir(tmp_path)
    names = [name for name in FIELDS if name not in JINJA_ONLY | OF_SEVERAL | NOT_TOGETHER]
    Path("own.yaml").write_text("".join(f"{name}: {FIELDS[name][0]}\n" for name in names))
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    Path("in.jsonl").write_text(json.dumps({"talk": talk, "id": "a", "score": 0.5}))
    flags = [flag for name in names for flag in FIELDS[name][2]]
    assert sftcli_here("prepare", "--config", "own.yaml", *flags, "--quiet") == Ended(0, "", "")
    found = json.loads(Path("out/manifest.json").read_bytes())["config"]
    # A folder may be moved, and who made it changes nothing.
    recorded = [name for name in names if name not in ("output", "num_proc")]
    assert {name: found[name] for name in recorded} == {name: FIELDS[name][3] for name in recorded}


def test_jinja_flags_win_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    monkeypatch.chdir(tmp_path)
    names = sorted(JINJA_ONLY)
    Path("own.yaml").write_text("".join(f"{name}: {FIELDS[name][0]}\n" for name in names))
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    Path("in.jsonl").write_text(json.dumps({"messages": talk}))
    flags = ["in.jsonl", "-t", "demo", "-o", "out", *(flag for name in names for flag in FIELDS[name][2])]
    assert sftcli_here("prepare", "--config", "own.yaml", *flags, "--quiet") == Ended(0, "", "")
    found = json.loads(Path("out/manifest.json").read_bytes())["config"]
    assert {name: found[name] for name in names} == {name: FIELDS[name][3] for name in names}


def test_a_profile_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text("profile: llama-factory\n")
    Path("in.jsonl").write_text('{"prompt": "2+2=", "completion": "4"}\n')
    flags = ("in.jsonl", "-t", "demo", "-o", "out", "--profile", "skyrl", "--quiet")
    assert sftcli_here("prepare", "--config", "own.yaml", *flags) == Ended(0, "", "")
    found = json.loads(Path("out/manifest.json").read_bytes())["config"]
    assert (found["profile"], found["format"]) == ("skyrl", "parquet")


def test_what_is_not_given_stays_as_the_file_has_it(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("inputs: [a.jsonl]\nmax_length: 7\nfield: {output: answer}\nsystem: Be brief.\n")
    flags = {"inputs": [], "max_length": None, "field": {}, "system": "", "add_special_tokens": ()}
    assert load_config(str(path), flags) == Config(
        inputs=["a.jsonl"], max_length=7, field={"output": "answer"}, system=""
    )


def test_a_run_by_config_writes_the_bytes_of_a_run_by_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text('{"prompt": "2+2=", "completion": "4"}\n')
    make("out", "in.jsonl", template="plain", compression="snappy", eos_token=None)
    by_flags = {path.name: path.read_bytes() for path in Path("out").iterdir() if path.is_file()}
    Path("own.yaml").write_text("template: plain\ncompression: snappy\ntokenizer: demo\noutput: out\n")
    from_file = load_config("own.yaml", {"inputs": ["in.jsonl"]})
    make("out", overwrite=True, **msgspec.structs.asdict(from_file))
    assert by_flags == {path.name: path.read_bytes() for path in Path("out").iterdir() if path.is_file()}


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_ready_configs_load(path: Path) -> None:
    assert load_config(str(path), {}) != Config()


# The place is that of the top-level key; of a file that is no mapping it is the file.
MISTAKES = {
    "unknown key": ("max_lenght: 7", ":1:1", "unknown key 'max_lenght'; did you mean 'max_length'?"),
    "unknown key, further down": (
        "limit: 5\n\nfield:\n  output: answer\nmax_lenght: 7",
        ":5:1",
        "unknown key 'max_lenght'; did you mean 'max_length'?",
    ),
    "unknown key in braces": ("{limit: 5, lmit: 7}", ":1:12", "unknown key 'lmit'; did you mean 'limit'?"),
    "key with a dash": ("max-lenght: 7", ":1:1", "unknown key 'max_lenght'; did you mean 'max_length'?"),
    "key twice": (
        "max-length: 7\nmax_length: 8",
        "",
        "max_length and max-length are one key; remove one of the two",
    ),
    "another program's key": (
        "sequence_len: 7",
        ":1:1",
        "unknown key 'sequence_len'; did you mean 'max_length'?",
    ),
    "text for a number": ("max_length: x", ":1:1", "max_length: expected a whole number, found text"),
    "text for a number, further down": (
        "# seven\nlimit: 5\nmax_length: seven",
        ":3:1",
        "max_length: expected a whole number, found text",
    ),
    "true for a number": ("limit: true", ":1:1", "limit: expected a whole number, found true or false"),
    "no is text": ("max_length: no", ":1:1", "max_length: expected a whole number, found text"),
    "number for text": ("output: 7", ":1:1", "output: expected text, found a whole number"),
    "number for a list": ("inputs: 7", ":1:1", "inputs: expected a list, found a whole number"),
    "text for a list of maps": ("sources: a", ":1:1", "sources: expected a list, found text"),
    "number in a list": (
        "limit: 5\ninputs:\n- a.jsonl\n- 7",
        ":2:1",
        "inputs[1]: expected text, found a whole number",
    ),
    "list for text": ("template: [alpaca]", ":1:1", "template: expected text, found a list"),
    "map for text": ("template: {name: alpaca}", ":1:1", "template: expected text, found a map"),
    "number in a map": ("field: {output: 3}", ":1:1", "field[...]: expected text, found a whole number"),
    "null for a map": ("field:", ":1:1", "field: expected a map, found nothing"),
    "null for a choice": (
        "train_on: null",
        ":1:1",
        "train_on: expected text, found nothing; it is one of assistant, last, all",
    ),
    "unknown choice": (
        "limit: 5\ntrain_on: assistent",
        ":2:1",
        "train_on: 'assistent' is not one of its values; did you mean 'assistant'?",
    ),
    "choice that is near nothing": (
        "train_on_eos: 'no'",
        ":1:1",
        "train_on_eos: 'no' is not one of its values; did you mean 'none'?",
    ),
    "choice that may be left out": (
        "compression: zip",
        ":1:1",
        "compression: 'zip' is not one of its values; did you mean 'gzip'?",
    ),
    "list": ("- a", "", "expected `key: value` lines, found a list"),
    "text": ("template", "", "expected `key: value` lines, found plain text"),
    "empty": ("# nothing", "", "expected `key: value` lines, found nothing"),
    "too large": (
        "#" * (1 << 20) + "\n",
        "",
        "1048578 bytes; a config or template of over 1 MiB is not read",
    ),
}
PLACED = {
    "key twice": ("limit: 1\nlimit: 2", "2:1", "key 'limit' is there twice"),
    "key twice inside": ("field: {a: b, a: c}", "1:15", "key 'a' is there twice"),
    "number as key": ("1: 2", "1:1", "key 1 is not text; put it in quotes"),
    "alias": ("output: &a out\nsystem: *a", "2:9", "aliases (*name) are not read here; write the value out"),
    "alias bomb": (
        "field: {a: &a [x, x], b: &b [*a, *a]}",
        "1:30",
        "aliases (*name) are not read here; write the value out",
    ),
    "open list": ("inputs: [a\nlimit: 1", "2:6", "expected ',' or ']', but got ':'"),
    "tab": ("a:\tb: c", "1:3", "found character '\\t' that cannot start any token"),
    "code": (
        "system: !!python/object/apply:os.getcwd []",
        "1:9",
        "could not determine a constructor for the tag 'tag:yaml.org,2002:python/object/apply:os.getcwd'",
    ),
    "two documents": ("limit: 1\n---\nlimit: 2", "2:1", "but found another document"),
}


def mistake(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode() + b"\n")
    with pytest.raises(ConfigError) as refused:
        load_config(str(path), {})
    return str(refused.value).replace(str(path), "own.yaml")


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_in_the_file_names_the_file_and_the_key(tmp_path: Path, case: str) -> None:
    text, place, message = MISTAKES[case]
    assert mistake(tmp_path / "own.yaml", text) == f"own.yaml{place}: {message}"


@pytest.mark.parametrize("number", ["1.5", ".nan", ".inf"])
def test_a_number_that_is_not_whole(tmp_path: Path, number: str) -> None:
    found = mistake(tmp_path / "own.yaml", f"limit: 5\nmax_length: {number}")
    assert found.startswith("own.yaml:2:1: max_length: expected a whole number, found ")


@pytest.mark.parametrize("case", PLACED)
def test_malformed_yaml_is_told_with_its_place(tmp_path: Path, case: str) -> None:
    text, place, message = PLACED[case]
    assert mistake(tmp_path / "own.yaml", text) == f"own.yaml:{place}: {message}"


def test_files_that_are_no_text(tmp_path: Path) -> None:
    assert mistake(tmp_path / "own.yaml", b"system: \xff\n") == "own.yaml: not UTF-8 at byte 8"
    with pytest.raises(ConfigError) as refused:
        load_config(str(tmp_path), {})
    assert str(refused.value) == f"{tmp_path}: cannot be read: Is a directory"


@pytest.mark.parametrize(
    ("text", "system"),
    [
        *(("no", "no"), ("yes", "yes"), ("on", "on"), ("2024-01-01", "2024-01-01")),
        *(('"7"', "7"), ("null", None), ("|\n  two\n  lines", "two\nlines\n")),
    ],
)
def test_plain_text_in_yaml_is_text(tmp_path: Path, text: str, system: str | None) -> None:
    (tmp_path / "own.yaml").write_text(f"system: {text}\n")
    assert load_config(str(tmp_path / "own.yaml"), {}).system == system


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        *(("1e-9", 1e-9), ("1.0e-9", 1e-9), ("1E3", 1000.0), ("+.5e+2", 50.0), ("2.e2", 200.0)),
        *(("7", 7.0), ("0.25", 0.25)),
    ],
)
def test_numbers_in_yaml_are_those_of_json_too(tmp_path: Path, text: str, weight: float) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        f"loss_weight: {{user: {text}}}\n"
        f"sources: [{{inputs: [a], weight: {text}}}, {{inputs: [b], weight: 1}}]\n"
    )
    config = load_config(str(path), {})
    assert (config.sources[0].weight, config.loss_weight) == (weight, {"user": weight})


@pytest.mark.parametrize("text", ["1e", "e9", "1e-x", "1e9a", "0x1e9g", ".e1", "v1e5", "1e5-base", "-e1"])
def test_what_only_looks_like_a_number_in_yaml_is_text(tmp_path: Path, text: str) -> None:
    (tmp_path / "own.yaml").write_text(f"tokenizer: {text}\n")
    assert load_config(str(tmp_path / "own.yaml"), {}).tokenizer == text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 1 << 31}, "max_length: expected at most 1,073,741,824 tokens, found 2,147,483,648"),
        (
            {"pad": "multiple-of:99999999999999999999"},
            "pad: multiple-of:99999999999999999999: expected at most 1,073,741,824 tokens",
        ),
        (
            {"sources": [{"inputs": ["a"], "repeat": 1e12}]},
            "sources[0].repeat: expected at most 10,000, found 1e+12",
        ),
    ],
)
def test_counts_beyond_all_use_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        load_config(None, options)


@pytest.mark.parametrize("name", ["max_length", "limit"])
@pytest.mark.parametrize("value", [0, -1])
def test_counts_below_one_are_refused(name: str, value: int) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(None, {name: value})
    assert str(refused.value) == f"{name}: expected 1 or more, found {value}"


@pytest.mark.parametrize("compression", ["zstd", "snappy", "lz4", "gzip", "none"])
@pytest.mark.parametrize("format_", COMPRESSIONS)
def test_compression_goes_with_the_format_or_is_refused(format_: str, compression: str) -> None:
    flags = {"format": format_, "compression": compression}
    if compression in COMPRESSIONS[format_]:
        assert load_config(None, flags).codec == compression
        return
    with pytest.raises(ConfigError) as refused:
        load_config(None, flags)
    assert str(refused.value) == (
        f"--compression {compression} does not go with --format {format_}, which takes "
        f"{', '.join(COMPRESSIONS[format_])}"
    )


def test_the_default_compression_is_the_formats() -> None:
    codecs = [load_config(None, {"format": name}).codec for name in ("parquet", "arrow")]
    assert [*codecs, load_config(None, {"profile": "olmo"}).codec] == ["zstd", "none", "none"]


@pytest.mark.parametrize("pair", ["output", "output=", "=answer", ""])
def test_a_field_without_both_names_is_refused(sftcli_here: Here, pair: str) -> None:
    ended = sftcli_here("prepare", "in.jsonl", "-t", "demo", "-o", "out", "--field", pair)
    assert ended == Ended(
        2, "", f"error: --field {pair!r}: expected two parts, such as --field output=answer\n"
    )


def test_a_field_that_is_named_twice_is_refused(sftcli_here: Here) -> None:
    ended = sftcli_here(
        "prepare", "x", "-t", "demo", "-o", "out", "--field", "output=a", "--field", "output=b"
    )
    assert ended == Ended(2, "", "error: --field output: given twice\n")
