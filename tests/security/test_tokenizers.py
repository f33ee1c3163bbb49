"""A tokenizer folder is a stranger's files: they are data, they have a size, and they may not lie.

`test_engines.py` has tokenizers that the library drops text with; `test_prepare.py` and `test_docs.py`
use honest ones.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Ended, run_sftcli

import sftcli

DEMO = Path(sftcli.__file__).parent / "data" / "demo"
END = "<|im_end|>"
RECORD = {"prompt": "Say hi", "completion": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}
Change = Callable[[dict[str, Any]], Any]


def prepared(here: Path, *more: str, **environment: str) -> Ended:
    """A run with the tokenizer in ./tk, which has ten seconds, four gigabytes and no answer to a question."""
    (here / "in.jsonl").write_text(json.dumps(RECORD) + "\n")
    args = ("prepare", "in.jsonl", "-t", "tk", "--template", "plain", "-o", "out", "--quiet", *more)
    return run_sftcli(*args, cwd=here, RUST_BACKTRACE="0", HF_HUB_OFFLINE="1", **environment)


def with_json(here: Path, change: Change) -> Path:
    """The demo tokenizer with another tokenizer.json."""
    shutil.copytree(DEMO, here / "tk")
    layout = json.loads((DEMO / "tokenizer.json").read_bytes())
    change(layout)
    (here / "tk" / "tokenizer.json").write_text(json.dumps(layout))
    return here / "tk"


def ids_of(here: Path) -> list[int]:
    (shard,) = (here / "out").glob("*.parquet")
    return pq.read_table(shard)["input_ids"][0].as_py()


def vocab(**texts: int) -> Change:
    return lambda layout: layout["model"]["vocab"].update(texts)


def added(**facts: Any) -> Change:
    def change(layout: dict[str, Any]) -> None:
        tokens = layout["added_tokens"]
        tokens.append({**tokens[0], "id": 4096, "content": "<new>", **facts})

    return change


def normalizer(**facts: Any) -> Change:
    return lambda layout: layout.update(normalizer=facts)


def regex(pattern: str) -> Change:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return lambda layout: layout.update(pre_tokenizer={"type": "Sequence", "pretokenizers": [split, level]})


def processor(*single: dict[str, Any]) -> Change:
    pair = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]
    facts = {"type": "TemplateProcessing", "single": list(single), "pair": pair, "special_tokens": {}}
    return lambda layout: layout.update(post_processor=facts)


GROW = {"type": "Replace", "pattern": {"Regex": "."}, "content": "xx"}
GAPS = "as it knows of no gaps; load and save it with transformers once"
LIES = {
    "a negative id": (vocab(the=-1), "gives a token the id -1; ids are counted from 0"),
    "a huge id": (
        vocab(the=2**32 - 1),
        "gives a token the id 4294967295; no embedding has over 16,777,216 rows",
    ),
    "an id beyond 64 bits": (
        added(id=1 << 64),
        "gives a token the id 18446744073709551616; no embedding has over 16,777,216 rows",
    ),
    "one id for two": (vocab(the=300), "gives both '{300}' and 'the' the id 300"),
    "the id of a control token": (vocab(the=4095), f"gives both 'the' and '{END}' the id 4095"),
    "a control token with a letter's id": (added(id=40), "gives both 'I' and '<new>' the id 40"),
    "two control tokens with one id": (added(id=4095), f"gives both '{END}' and '<new>' the id 4095"),
    "a control token twice": (added(content=END), f"has the added token {END!r} twice"),
    "a control token that is none": (added(content=END, special=False), f"has the added token {END!r} twice"),
    "an id after a gap": (
        added(id=9000),
        f"gives '<new>' the id 9000, and the tokenizers library gives it 4096, {GAPS}",
    ),
    "a letter with another id": (
        added(content="e"),
        f"gives 'e' the id 4096, and the tokenizers library gives it 68, {GAPS}",
    ),
    "no text": (added(content=""), "has an added token without text (id 4096)"),
    "much text": (
        added(content="<" * 10_000_000),
        "has an added token of 10,000,000 characters (id 4096); over 1,000 are not read",
    ),
    "dropout": (
        lambda layout: layout["model"].update(dropout=0.5),
        "has a dropout of 0.5, with which a text has other tokens in every run; "
        "set model.dropout to null in it",
    ),
    "text that grows": (
        normalizer(**{**GROW, "content": "x" * 10_000}),
        "has normalizers that may make 10,000 characters of one; over 1,000 are not read",
    ),
    "text that grows in steps": (
        normalizer(type="Sequence", normalizers=[GROW] * 40),
        "has normalizers that may make 1,099,511,627,776 characters of one; over 1,000 are not read",
    ),
    "a long prefix": (
        normalizer(type="Prepend", prepend="x" * 5_000),
        "has normalizers that may make 5,001 characters of one; over 1,000 are not read",
    ),
    "many normalizers": (
        normalizer(type="Sequence", normalizers=[{"type": "NFC"}] * 9_999),
        "has 10,003 normalizers and the like; over 200 are not read",
    ),
    "a text left out": (processor(), "has a post-processor that leaves the text out, or has it twice"),
    "a text laid out twice": (
        processor(*[{"Sequence": {"id": "A", "type_id": 0}}] * 2),
        "has a post-processor that leaves the text out, or has it twice",
    ),
    "a regex that is none": (
        regex("((("),
        "cannot be read: Cannot instantiate Tokenizer from buffer: Oniguruma error: end pattern with "
        "unmatched parenthesis",
    ),
    "an unknown model": (
        lambda layout: layout["model"].update(type="Evil"),
        "cannot be read: Cannot instantiate Tokenizer from buffer: data did not match any variant",
    ),
    "no model": (lambda layout: layout.pop("model"), "cannot be read: Object missing required field `model`"),
    "merges of nothing": (
        lambda layout: layout["model"]["merges"].append(["zzzzzz", "qqqqqq"]),
        "cannot be read: Cannot instantiate Tokenizer from buffer: Token `zzzzzz` out of vocabulary",
    ),
}


@pytest.mark.parametrize("case", LIES)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, case: str) -> None:
    change, reason = LIES[case]
    tk = with_json(tmp_path, change)
    texts = {
        token_id: text
        for text, token_id in json.loads((DEMO / "tokenizer.json").read_bytes())["model"]["vocab"].items()
    }
    ended = prepared(tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: tk: tokenizer.json {reason.replace('{300}', texts[300])}")
    assert ended.err.count("\n") == 1
    assert len(ended.err) < 400
    assert tk.is_dir()
    assert not (tmp_path / "out").exists()


def test_an_ordinary_piece_is_no_control_token(tmp_path: Path) -> None:
    layout = json.loads((DEMO / "tokenizer.json").read_bytes())
    with_json(tmp_path, added(id=layout["model"]["vocab"]["he"], content="he"))
    assert prepared(tmp_path).err == (
        "error: special token 'he': is an ordinary token of 'tk', which any text can spell; take one that is "
        "not in its vocabulary\n"
    )


@pytest.mark.parametrize("where", ["pre-tokenizer", "normalizer"])
def test_a_regex_without_end_ends(tmp_path: Path, where: str) -> None:
    pattern = "(a+)+$"
    replaces = {"type": "Replace", "pattern": {"Regex": pattern}, "content": ""}
    with_json(tmp_path, regex(pattern) if where == "pre-tokenizer" else normalizer(**replaces))
    ended = prepared(tmp_path)
    assert (ended.code, ended.out) == (2, "")
    # Above it is what the library itself prints.
    assert ended.err.splitlines()[-1] == (
        "error: the tokenizers library cannot use this tokenizer.json: Onig: Regex search error: "
        "retry-limit-in-match over; mend what it names, or take another"
    )
    assert "Traceback" not in ended.err


def test_what_is_baked_in_shortens_and_lengthens_nothing(tmp_path: Path) -> None:
    honest, baked = tmp_path / "honest", tmp_path / "baked"
    for folder in (honest, baked):
        folder.mkdir()
    with_json(honest, lambda layout: None)
    cut = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    pad = {"strategy": {"Fixed": 64}, "direction": "Left", "pad_to_multiple_of": None}
    pad |= {"pad_id": 5, "pad_type_id": 0, "pad_token": "x"}
    with_json(baked, lambda layout: layout.update(truncation=cut, padding=pad))
    for folder in (honest, baked):
        assert prepared(folder).code == 0
    assert len(ids_of(honest)) > 3
    assert ids_of(baked) == ids_of(honest)


def test_a_normalizer_forges_no_control_token(tmp_path: Path) -> None:
    with_json(tmp_path, normalizer(type="Replace", pattern={"String": "hi"}, content=END))
    assert prepared(tmp_path).code == 0
    assert ids_of(tmp_path).count(4095) == 1  # the template's own


RAW = {
    "nothing": (b"", "Input data was truncated"),
    "a number that is none": (b'{"model": NaN}', "JSON is malformed: invalid character (byte 10)"),
    "an archive": (b"PK\x03\x04" + bytes(100), "JSON is malformed: invalid character (byte 0)"),
    "a page": (b"<!doctype html><script>", "JSON is malformed: invalid character (byte 0)"),
    "UTF-16": ("{}".encode("utf-16"), "JSON is malformed: invalid character (byte 0)"),
    "a list": (b"[]", "Expected `object`, got `array`"),
    "deep lists": (b"[" * 1_000_000, "Expected `object`, got `array`"),
    "deep objects": (
        b'{"model":' * 100_000,
        "maximum recursion depth exceeded while deserializing an object",
    ),
    "not UTF-8": (
        b'{"model": {"type": "BPE\xff"}}',
        "'utf-8' codec can't decode byte 0xff in position 3: invalid start byte",
    ),
}


@pytest.mark.parametrize("case", RAW)
def test_a_tokenizer_json_that_is_none(tmp_path: Path, case: str) -> None:
    raw, reason = RAW[case]
    with_json(tmp_path, lambda layout: None)
    (tmp_path / "tk" / "tokenizer.json").write_bytes(raw)
    assert prepared(tmp_path) == Ended(2, "", f"error: tk: tokenizer.json cannot be read: {reason}\n")


CONFIGS_OF = {
    "deep lists": (b"[" * 1_000_000, "maximum recursion depth exceeded while deserializing an object"),
    "a list": (b"[1, 2]", "holds no JSON object"),
    "NaN": (b'{"model_max_length": NaN}', "JSON is malformed: invalid character (byte 21)"),
    "zeros": (bytes(1000), "JSON is malformed: invalid character (byte 0)"),
}


@pytest.mark.parametrize("case", CONFIGS_OF)
def test_a_tokenizer_config_that_is_none(tmp_path: Path, case: str) -> None:
    raw, reason = CONFIGS_OF[case]
    with_json(tmp_path, lambda layout: None)
    (tmp_path / "tk" / "tokenizer_config.json").write_bytes(raw)
    assert prepared(tmp_path) == Ended(2, "", f"error: tk: tokenizer_config.json: {reason}\n")


@pytest.mark.parametrize(
    "template",
    [5, {"a": 1}, [{"name": ["default"], "template": "x"}, 7], [{"name": "default", "template": 3}]],
)
def test_a_chat_template_that_is_none(tmp_path: Path, template: Any) -> None:
    with_json(tmp_path, lambda layout: None)
    (tmp_path / "tk" / "chat_template.jinja").unlink(missing_ok=True)
    (tmp_path / "tk" / "tokenizer_config.json").write_text(
        json.dumps({"eos_token": END, "chat_template": template})
    )
    ended = prepared(tmp_path, "--template", "tokenizer")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: tokenizer 'tk' has no chat template of its own; name one with")


def test_a_chat_template_of_any_size(tmp_path: Path) -> None:
    with_json(tmp_path, lambda layout: None)
    (tmp_path / "tk" / "chat_template.jinja").touch()
    os.truncate(tmp_path / "tk" / "chat_template.jinja", 100 << 20)
    ended = prepared(tmp_path, "--template", "tokenizer")
    assert ended == Ended(2, "", "error: template 'tokenizer': is longer than 262144 characters\n")


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
def test_a_file_of_any_size_is_not_read(tmp_path: Path, name: str) -> None:
    with_json(tmp_path, lambda layout: None)
    (tmp_path / "tk" / name).touch()
    os.truncate(tmp_path / "tk" / name, 20 << 30)  # of which the disk holds nothing
    assert prepared(tmp_path) == Ended(
        2,
        "",
        f"error: tk/{name}: has 21,474,836,480 bytes; a tokenizer file of over 268,435,456 is not read\n",
    )


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


ODD: dict[str, Callable[[Path], Any]] = {
    "zeros without end": lambda path: path.symlink_to("/dev/zero"),
    "a pipe that nobody writes": make_fifo,
    "a folder": lambda path: path.mkdir(),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
}


@pytest.mark.parametrize("case", ODD)
def test_a_tokenizer_json_that_is_no_file(tmp_path: Path, case: str) -> None:
    (tmp_path / "tk").mkdir()
    ODD[case](tmp_path / "tk" / "tokenizer.json")
    assert prepared(tmp_path) == Ended(
        2, "", "error: tokenizer 'tk': no tokenizer.json in this folder (it has tokenizer.json)\n"
    )


@pytest.mark.parametrize("case", ODD)
def test_a_config_that_is_no_file_is_left_out(tmp_path: Path, case: str) -> None:
    with_json(tmp_path, lambda layout: None)
    (tmp_path / "tk" / "tokenizer_config.json").unlink()
    ODD[case](tmp_path / "tk" / "tokenizer_config.json")
    ended = prepared(tmp_path, "--eos-token", END)
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("kind", ["fast", "slow"])
def test_no_code_of_a_tokenizer_runs_and_nothing_is_asked(tmp_path: Path, kind: str) -> None:
    """`slow` has no tokenizer.json, so that transformers is asked for one, which could load code."""
    code = {"AutoTokenizer": ["evil.Evil", "evil.Evil"], "AutoConfig": "evil.Config"}
    config = {"tokenizer_class": "Evil", "auto_map": code, "model_type": "evil", "eos_token": END}
    with_json(tmp_path, lambda layout: None)
    for name in ("tokenizer_config.json", "config.json"):
        (tmp_path / "tk" / name).write_text(json.dumps(config))
    (tmp_path / "tk" / "evil.py").write_text("open('../ran', 'w').close()\nraise SystemExit(0)\n")
    if kind == "slow":
        (tmp_path / "tk" / "tokenizer.json").unlink()
        (tmp_path / "tk" / "vocab.json").write_text('{"a": 0}')
    (tmp_path / "in.jsonl").write_text(json.dumps(RECORD) + "\n")
    args = ("prepare", "in.jsonl", "-t", "tk", "--template", "plain", "-o", "out", "--quiet")
    ended = run_sftcli(*args, stdin=b"y\ny\ny\n", cwd=tmp_path)
    assert not (tmp_path / "ran").exists()
    assert "y/N" not in ended.out + ended.err
    if kind == "fast":
        assert (ended.code, ended.err) == (0, "")
        assert not (tmp_path / "out" / "tokenizer" / "evil.py").exists()
    else:
        assert ended.code == 2
        assert ended.err.splitlines()[-1].startswith(
            "error: tokenizer 'tk': has vocab.json but no tokenizer.json, and transformers could not"
        )
