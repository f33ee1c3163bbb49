"""The demo tokenizer: what is shipped is what the script makes, and everybody can load it."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import sftcli
from sftcli.engine import FastEngine, ReferenceEngine, fast_engine_refusal
from sftcli.tokenizer import Tokenizer, load_tokenizer

DATA = Path(sftcli.__file__).parent / "data"
SCRIPT = Path(__file__).with_name("make_demo_tokenizer.py")
FILES = ["chat_template.jinja", "tokenizer.json", "tokenizer_config.json"]
DEMO = load_tokenizer("demo")


def example_lines() -> list[str]:
    files = [DATA / "examples" / name for name in ("alpaca.jsonl", "chat.jsonl", "gsm8k.jsonl")]
    return [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def conversations() -> list[list[dict[str, str]]]:
    lines = (DATA / "examples" / "chat.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["messages"] for line in lines]


def make(folder: Path, **environment: str) -> dict[str, bytes]:
    folder.mkdir()
    subprocess.run([sys.executable, str(SCRIPT), str(folder)], check=True, env={**os.environ, **environment})
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_script_makes_what_is_shipped(tmp_path: Path) -> None:
    one = make(tmp_path / "one", PYTHONHASHSEED="1", RAYON_NUM_THREADS="1")
    two = make(tmp_path / "two", PYTHONHASHSEED="2", RAYON_NUM_THREADS="4")
    assert one == two

    shipped = {path.name: path.read_bytes() for path in (DATA / "demo").iterdir()}
    assert sorted(shipped) == sorted(one) == FILES
    assert {name: shipped[name] for name in FILES if name != "tokenizer.json"} == {
        name: one[name] for name in FILES if name != "tokenizer.json"
    }
    # Another version of `tokenizers` may write the same tokenizer in other words.
    old, new = json.loads(shipped["tokenizer.json"]), json.loads(one["tokenizer.json"])
    for part in ("added_tokens", "pre_tokenizer", "decoder", "normalizer", "post_processor"):
        assert old[part] == new[part]
    assert old["model"]["vocab"] == new["model"]["vocab"]
    assert old["model"]["merges"] == new["model"]["merges"]


def test_its_special_tokens() -> None:
    assert DEMO.size == 4096
    assert {text: token.id for text, token in DEMO.control_tokens.items()} == {
        "<|endoftext|>": 4093,
        "<|im_start|>": 4094,
        "<|im_end|>": 4095,
    }
    assert {name: text for name, text in DEMO.specials.items() if text} == {
        "eos": "<|im_end|>",
        "pad": "<|endoftext|>",
    }
    assert DEMO.bos == ""
    assert DEMO.layout.is_byte_level


def test_every_byte_is_a_token() -> None:
    assert {DEMO.token_bytes(id_) for id_ in range(DEMO.size)} >= {bytes([byte]) for byte in range(256)}


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back(text: str) -> None:
    ids = DEMO.reference.encode(text, add_special_tokens=False).ids
    assert b"".join(map(DEMO.token_bytes, ids)) == text.encode()


def test_both_engines_take_it_and_agree() -> None:
    texts = example_lines()
    sizes = np.array([len(text.encode()) for text in texts], np.int64)
    leading = np.zeros(len(texts), np.bool_)
    assert fast_engine_refusal(DEMO) is None
    reference = ReferenceEngine(DEMO)
    slow = reference.encode(texts, sizes, leading)
    fast = FastEngine(DEMO, reference).encode(texts, sizes, leading)
    assert np.array_equal(slow.ids, fast.ids)
    assert np.array_equal(slow.ends, fast.ends)


def test_transformers_loads_it() -> None:
    # Heavy, and of use to this test alone.
    theirs = import_module("transformers").AutoTokenizer.from_pretrained(DATA / "demo")
    assert (theirs.bos_token, theirs.eos_token, theirs.pad_token) == (None, "<|im_end|>", "<|endoftext|>")
    assert len(theirs) == 4096
    for line in example_lines():
        if "<|" in line:  # theirs reads control tokens in any text
            continue
        assert theirs(line)["input_ids"] == DEMO.reference.encode(line, add_special_tokens=False).ids
    for messages in conversations():
        turns = [f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in messages]
        shown = theirs.apply_chat_template(messages, tokenize=False)
        assert shown == "".join(turns)
        asked = theirs.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
        assert asked == "".join(turns[:-1]) + "<|im_start|>assistant\n"


def test_the_examples_are_what_their_readme_says() -> None:
    records = {
        path.name: path.read_text(encoding="utf-8").splitlines()
        for path in (DATA / "examples").glob("*.jsonl")
    }
    assert {name: len(lines) for name, lines in records.items()} == {
        "alpaca.jsonl": 16,
        "chat.jsonl": 16,
        "gsm8k.jsonl": 200,
    }
    assert all(json.loads(line).keys() == {"question", "answer"} for line in records["gsm8k.jsonl"])
    for messages in conversations():
        roles = [turn["role"] for turn in messages]
        first = 1 if roles[0] == "system" else 0
        assert roles[first:] == ["user", "assistant"] * (len(roles[first:]) // 2)


def test_a_folder_of_the_same_files_is_the_same_tokenizer() -> None:
    folder = load_tokenizer(str(DATA / "demo"))
    assert isinstance(folder, Tokenizer)
    assert folder.sha256 == DEMO.sha256


def test_a_tokenizer_is_made_again_of_the_files_that_it_saves(any_tokenizer: Tokenizer) -> None:
    """As in another process, which has their bytes alone."""
    extended = any_tokenizer.with_control_tokens(["<|turn|>"], {"pad": "<|fill|>"})
    for tokenizer in (any_tokenizer, extended):
        again = Tokenizer.of(tokenizer.name, tokenizer.saved_files())
        assert (again.sha256, again.specials, again.bos) == (
            tokenizer.sha256, tokenizer.specials, tokenizer.bos
        )  # fmt: skip
        assert again.control_tokens == tokenizer.control_tokens
        assert again.chat_template == tokenizer.chat_template
        text = "Hi <|turn|> Été<|fill|>"
        assert again.reference.encode(text).ids == tokenizer.reference.encode(text).ids
