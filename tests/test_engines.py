"""Which engine a run takes and how it is checked, and tokenizers that are extended on the way."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastokens
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import small_tokenizers
import tokenizers
from conftest import Ended, make, spans
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

from sftcli.conversation import Conversation, Message
from sftcli.crosscheck import EngineName, Engines
from sftcli.engine import Encoded, FastEngine, Ints
from sftcli.errors import TokenizerError
from sftcli.mask import MaskPolicy
from sftcli.render import render_chat
from sftcli.rendered import Rendered
from sftcli.templates import RoleTemplate, load_template
from sftcli.tokenizer import Tokenizer, load_tokenizer

Small = Callable[[str], Tokenizer]
LARGE = 10_000_000  # bytes of input for which a fast engine is worth its loading
TALKS = [("Hi", "Hello"), ("Which animal is it?", "A zebra."), ("2+2=", "4"), ("One more zebra?", "No.")]


def rendered(talks: Sequence[tuple[str, str]] = TALKS) -> list[Rendered]:
    chatml = load_template("chatml")
    assert isinstance(chatml, RoleTemplate)
    return [
        render_chat(
            Conversation(messages=[Message("user", asked), Message("assistant", answer)]),
            chatml,
            MaskPolicy(),
            None,
        )
        for asked, answer in talks
    ]


def chosen(tokenizer: Tokenizer, wanted: EngineName, size: int, rows: Sequence[Rendered]) -> Engines:
    """Engines that have chosen and checked one."""
    engines = Engines(tokenizer, wanted, size)
    engines.offer(rows)
    assert engines.engine() is engines.engine()
    return engines


class NoZebra(FastEngine):
    """A fast engine with a fault: where a text speaks of a zebra, its last token is another one."""

    def encode(self, texts: Sequence[str], sizes: Ints, leading: npt.NDArray[np.bool_]) -> Encoded:
        right = super().encode(texts, sizes, leading)
        ids = right.ids.copy()
        for text, end in zip(texts, right.ends.tolist(), strict=True):
            if "zebra" in text:
                ids[end - 1] += 1
        return replace(right, ids=ids)


@pytest.fixture
def refused_late(tmp_path: Path) -> tuple[Tokenizer, str]:
    """A byte-level BPE, as the fast engine wants it, that its library does not read; and its reason."""
    built = tokenizers.Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.UnicodeScripts(),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    built.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, show_progress=False, initial_alphabet=alphabet)
    built.train_from_iterator(small_tokenizers.WORDS, trainer)
    tokens = small_tokenizers.control(*small_tokenizers.CHATML)
    found = small_tokenizers.save(built, tmp_path / "scripts", tokens, {"eos_token": "<|im_end|>"})
    with pytest.raises(ValueError, match="pre-tokenizer") as refused:
        fastokens.Tokenizer.from_json_str(found.json.decode())
    return found, str(refused.value)


@pytest.mark.parametrize(
    ("name", "wanted", "size", "engine"),
    [
        ("chatml", "auto", LARGE, "fastokens"),
        ("chatml", "auto", 1_000, "tokenizers"),
        ("chatml", "fastokens", 1_000, "fastokens"),
        ("chatml", "tokenizers", LARGE, "tokenizers"),
        ("nfc", "auto", LARGE, "fastokens"),
    ],
)
def test_the_engine_goes_by_the_input_and_the_users_wish(
    small: Small, name: str, wanted: EngineName, size: int, engine: str
) -> None:
    engines = chosen(small(name), wanted, size, rendered())
    assert (engines.engine().name, engines.warning) == (engine, None)
    assert engines.name.split() == [engine, engines.name.split()[1]]


@pytest.mark.parametrize("name", ["llama2", "legacy", "gemma"])
def test_a_tokenizer_that_the_fast_engine_cannot_read_takes_the_reference(small: Small, name: str) -> None:
    plain = [Rendered.of(row.pieces[1:2]) for row in rendered()]
    engines = chosen(small(name), "auto", LARGE, plain)
    assert (engines.engine().name, engines.warning) == ("tokenizers", None)
    with pytest.raises(TokenizerError, match="--encoder fastokens: not a byte-level BPE; use --encoder auto"):
        Engines(small(name), "fastokens", LARGE)


def test_a_tokenizer_that_the_fast_engine_refuses_late(refused_late: tuple[Tokenizer, str]) -> None:
    tokenizer, reason = refused_late
    engines = chosen(tokenizer, "auto", LARGE, rendered())
    assert engines.engine().name == "tokenizers"
    assert engines.warning == f"fastokens does not read this tokenizer ({reason}); using tokenizers"


def test_a_fast_engine_that_differs_is_not_used(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sftcli.crosscheck.FastEngine", NoZebra)
    engines = chosen(small("chatml"), "auto", LARGE, rendered())
    text = rendered()[1].text
    assert engines.engine().name == "tokenizers"
    assert engines.warning == f"the fast engine differs from the reference on {text!r}; using tokenizers"
    # Without a zebra there is nothing to find.
    assert chosen(small("chatml"), "auto", LARGE, rendered(TALKS[:1])).engine().name == "fastokens"


def test_the_warning_is_printed_and_the_rows_are_the_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Callable[..., Ended]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"prompt": asked, "completion": answer}) for asked, answer in TALKS]
    Path("in.jsonl").write_text("\n".join(lines))
    make("right", "in.jsonl", template="chatml")
    monkeypatch.setattr("sftcli.crosscheck.FastEngine", NoZebra)
    options = ("-t", "demo", "--template", "chatml", "--encoder", "fastokens")
    ended = sftcli_here("prepare", "in.jsonl", *options, "-o", "out")
    text = rendered()[1].text
    assert ended.code == 0
    assert "engine tokenizers" in ended.out
    assert ended.err == f"warning: the fast engine differs from the reference on {text!r}; using tokenizers\n"
    shard = "train-00000-of-00001.parquet"
    assert Path("out", shard).read_bytes() == Path("right", shard).read_bytes()
    assert json.loads(Path("out/manifest.json").read_bytes())["engine"].startswith("tokenizers ")


def test_a_tokenizer_whose_pieces_are_not_its_whole_is_refused(tmp_path: Path) -> None:
    """One of its control tokens begins in the template and ends in the data."""
    tokens = small_tokenizers.control(*small_tokenizers.CHATML, "r\nHi")
    tokenizer = small_tokenizers.byte_level(tmp_path / "odd", tokens, {"eos_token": "<|im_end|>"})
    assert chosen(tokenizer, "auto", 0, rendered(TALKS[1:])).engine().name == "tokenizers"
    with pytest.raises(TokenizerError) as refused:
        chosen(tokenizer, "auto", 0, rendered())
    assert str(refused.value) == (
        f"tokenizer {str(tmp_path / 'odd')!r} encodes this row's pieces and its whole text differently, "
        f"so its mask cannot be trusted: {rendered()[0].text!r}"
    )


def test_encoder_that_does_not_fit_ends_with_2(
    small: Small, tmp_path: Path, sftcli_here: Callable[..., Ended]
) -> None:
    (tmp_path / "in.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    args = ("--template", "plain", "--encoder", "fastokens", "-o", str(tmp_path / "out"))
    ended = sftcli_here("prepare", str(tmp_path / "in.jsonl"), "-t", small("gemma").name, *args)
    assert ended == Ended(2, "", "error: --encoder fastokens: not a byte-level BPE; use --encoder auto\n")
    assert not (tmp_path / "out").exists()


def test_encoder_that_is_asked_for_and_refused_late_ends_with_2(
    refused_late: tuple[Tokenizer, str], tmp_path: Path, sftcli_here: Callable[..., Ended]
) -> None:
    tokenizer, reason = refused_late
    (tmp_path / "in.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    args = ("-t", tokenizer.name, "--template", "plain", "-o", str(tmp_path / "out"))
    ended = sftcli_here("prepare", str(tmp_path / "in.jsonl"), *args, "--encoder", "fastokens")
    assert ended == Ended(2, "", f"error: --encoder fastokens: {reason}; use --encoder auto\n")
    assert not (tmp_path / "out").exists()
    assert sftcli_here("prepare", str(tmp_path / "in.jsonl"), *args, "--quiet") == Ended(0, "", "")


# Tokenizers that are extended

SEPARATOR = 'prompt: "{prompt}{sep}"\ncompletion: "{completion}"\n'


def extended(tmp_path: Path, **options: Any) -> tuple[Any, list[int], list[int], Any]:
    """A run of one record: the report, the row, and the saved tokenizer as transformers loads it."""
    source, out = tmp_path / "in.jsonl", tmp_path / "out"
    source.write_text('{"prompt": "2+2=", "completion": "4"}\n')
    report = make(out, source, **options)
    row = pq.read_table(out / "train-00000-of-00001.parquet").to_pylist()[0]
    return report, row["input_ids"], row["labels"], AutoTokenizer.from_pretrained(str(out / "tokenizer"))


@pytest.mark.parametrize(
    ("options", "added", "specials", "text"),
    [
        ({}, [], {"eos": "<|im_end|>", "pad": "<|endoftext|>"}, "[2+2=] 4<|im_end|>"),
        ({"add_special_tokens": ["<A>", "<B>"]}, ["<A>", "<B>"], {}, "[2+2=] 4<|im_end|>"),
        ({"add_special_tokens": ["<|im_end|>"]}, [], {}, "[2+2=] 4<|im_end|>"),
        ({"pad_token": "<P>"}, ["<P>"], {"pad": "<P>"}, "[2+2=] 4<|im_end|>"),
        ({"pad_token": "<|im_end|>"}, [], {"pad": "<|im_end|>"}, "[2+2=] 4<|im_end|>"),
        ({"eos_token": "<E>"}, ["<E>"], {"eos": "<E>"}, "[2+2=] 4<E>"),
        ({"eos_token": "<|endoftext|>"}, [], {"eos": "<|endoftext|>"}, "[2+2=] 4<|endoftext|>"),
        ({"sep_token": "<S>", "template": SEPARATOR}, ["<S>"], {"sep": "<S>"}, "[2+2=<S>] 4<|im_end|>"),
        (
            {"add_special_tokens": ["<A>"], "pad_token": "<P>", "sep_token": "<S>", "template": SEPARATOR},
            ["<A>", "<P>", "<S>"],
            {"pad": "<P>", "sep": "<S>"},
            "[2+2=<S>] 4<|im_end|>",
        ),
    ],
    ids=str,
)
def test_an_extended_tokenizer_is_saved_with_the_rows(
    tmp_path: Path, options: dict[str, Any], added: list[str], specials: dict[str, str], text: str
) -> None:
    template = options.get("template", "plain")
    if template == SEPARATOR:
        (tmp_path / "own.yaml").write_text(template)
        template = str(tmp_path / "own.yaml")
    report, ids, labels, saved = extended(tmp_path, **{**options, "template": template})
    assert report.added_tokens == tuple((token, 4096 + index) for index, token in enumerate(added))
    assert report.tokenizer_size == len(saved) == 4096 + len(added)
    assert " ".join(spans(load_tokenizer(str(tmp_path / "out" / "tokenizer")), ids, labels)) == text
    whole = text.replace("[", "").replace("] ", "")
    assert saved(whole, add_special_tokens=False)["input_ids"] == ids
    assert saved.decode(ids) == whole
    assert {name: getattr(saved, f"{name}_token") for name in specials} == specials
    for token in added:
        assert (
            saved.encode(f"a{token}b", add_special_tokens=False).count(saved.convert_tokens_to_ids(token))
            == 1
        )


def test_a_tokenizer_that_is_not_extended_is_saved_as_it_is(tmp_path: Path, small: Small) -> None:
    tokenizer = small("chatml")
    extended(tmp_path, tokenizer=tokenizer.name, template="plain")
    saved = {path.name: path.read_bytes() for path in (tmp_path / "out" / "tokenizer").iterdir()}
    assert saved == {path.name: path.read_bytes() for path in Path(tokenizer.name).iterdir()}


def test_the_gpt2_vocabulary_takes_a_chat_layout(tmp_path: Path, gpt2: Tokenizer) -> None:
    report, ids, labels, saved = extended(
        tmp_path,
        tokenizer=gpt2.name,
        template="chatml",
        add_special_tokens=["<|im_start|>"],
        **{"eos_token": "<|im_end|>", "pad_token": "<|pad|>"},
    )
    assert report.added_tokens == (("<|im_start|>", 50257), ("<|im_end|>", 50258), ("<|pad|>", 50259))
    assert (report.tokenizer_size, len(saved)) == (50260, 50260)
    assert (saved.eos_token_id, saved.pad_token_id, saved.bos_token_id) == (50258, 50259, 50256)
    text = "<|im_start|>user\n2+2=<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n"
    assert ids == saved(text)["input_ids"]
    assert [label for label in labels if label != -100] == [19, 50258]
