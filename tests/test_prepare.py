"""Whole runs: what goes in, what is read back, and that equal runs give equal bytes.

Rows are read with `datasets`, as a trainer would, and compared with the obvious slow way: one text,
tokenized in one go by transformers, and labels from the lengths of its prefixes.
"""

import bz2
import gzip
import io
import json
import lzma
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from conftest import (
    BAD,
    CONFIGS,
    EXAMPLES,
    TALKS,
    Ended,
    chat,
    jsonl,
    make,
    manifest,
    run_sftcli,
    spans,
    tree,
    write,
)
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from sftcli.config import COMPRESSIONS
from sftcli.errors import FileError
from sftcli.tokenizer import load_tokenizer

Record = dict[str, Any]
Parts = list[tuple[str, bool]]  # text, and whether it is trained

FEATURES = {
    "input_ids": datasets.List(datasets.Value("int32")),
    "attention_mask": datasets.List(datasets.Value("int8")),
    "labels": datasets.List(datasets.Value("int32")),
}
CHATML = ("<|im_start|>", "<|im_end|>")
LLAMA3 = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
QA = str(CONFIGS / "templates" / "qa.yaml")
GSM8K, ALPACA, CHAT = (EXAMPLES / f"{name}.jsonl" for name in ("gsm8k", "alpaca", "chat"))


# The slow way


def by_hand_qa(record: Record, bos: str, eos: str) -> Parts:
    return [(f"{bos}Q: {record['question']}\nA:", False), (f" {record['answer']}{eos}", True)]


def by_hand_alpaca(record: Record, bos: str, eos: str) -> Parts:
    paired = ", paired with an input that provides further context" if record.get("input") else ""
    prompt = f"Below is an instruction that describes a task{paired}. "
    prompt += "Write a response that appropriately completes the request.\n\n"
    prompt += f"### Instruction:\n{record['instruction']}\n\n"
    if record.get("input"):
        prompt += f"### Input:\n{record['input']}\n\n"
    return [(f"{bos}{prompt}### Response:\n", False), (record["output"] + eos, True)]


def turns_of(record: Record) -> list[tuple[str, str]]:
    roles = {"human": "user", "gpt": "assistant"}
    if "conversations" in record:
        return [(roles[turn["from"]], turn["value"]) for turn in record["conversations"]]
    if "messages" in record:
        return [(turn["role"], turn["content"]) for turn in record["messages"]]
    asked = "\n\n".join(filter(None, [record["instruction"], record.get("input")]))
    return [("user", asked), ("assistant", record["output"])]


def by_hand_chatml(record: Record, bos: str, _eos: str) -> Parts:
    parts = [(bos, False)]
    for role, text in turns_of(record):
        parts += [(f"<|im_start|>{role}\n", False), (f"{text}<|im_end|>", role == "assistant"), ("\n", False)]
    return parts


def by_hand_llama3(record: Record, _bos: str, _eos: str) -> Parts:
    parts = [("<|begin_of_text|>", False)]
    for role, text in turns_of(record):
        header = f"<|start_header_id|>{role}<|end_header_id|>\n\n"
        parts += [(header, False), (f"{text.strip()}<|eot_id|>", role == "assistant")]
    return parts


def slow_row(tokenizer: Any, parts: Parts) -> tuple[list[int], list[int]]:
    """ids of the whole text in one go; labels from the bytes that each token stands for.

    A token is trained where some of its text is, and the rest of it is white space.
    """
    raw = "".join(text for text, _ in parts).encode()
    trained = [is_trained for text, is_trained in parts for _ in text.encode()]
    ids = tokenizer.encode(raw.decode(), add_special_tokens=False)
    added = tokenizer.get_added_vocab()
    labels, start = [], 0
    for token_id, token in zip(ids, tokenizer.convert_ids_to_tokens(ids), strict=True):
        # In a byte-level vocabulary a character stands for a byte.
        stop = start + (len(token.encode()) if token in added else len(token))
        rest = bytes(raw[place] for place in range(start, stop) if not trained[place])
        is_trained = any(trained[start:stop]) and (not rest or rest.isspace())
        labels.append(token_id if is_trained else -100)
        start = stop
    assert start == len(raw)
    return ids, labels


# Reading back


def read(out: Path) -> datasets.Dataset:
    if (out / "state.json").exists():
        return datasets.load_from_disk(str(out))
    return datasets.load_dataset(str(out), split="train", cache_dir=str(out.parent / "datasets-cache"))


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_rows_are_never_those_that_datasets_read_before(tmp_path: Path, format_: str) -> None:
    """Its caches know a folder by its name, or by the fingerprint that is in it."""
    same = ("-t", "demo", "--template", QA, "--format", format_)
    cache = str(tmp_path / "cache")
    fingerprints = set()
    for number, (folder, options) in enumerate(
        [
            ("one", ()),
            ("one", ("--train-on-eos", "none")),
            ("one", ("--limit", "20")),
            ("two", ("--limit", "30")),
        ]
    ):
        out = tmp_path / folder / "out"
        found = run_sftcli("prepare", str(GSM8K), *same, *options, "-o", str(out), "--overwrite", "--json")
        report = json.loads(found.out)
        if format_ == "parquet":
            table = datasets.load_dataset(str(out), split="train", cache_dir=cache)
        else:
            table = datasets.load_from_disk(str(out))
            fingerprints.add(table._fingerprint)
            assert len(fingerprints) == number + 1
        trained = sum(label != -100 for labels in table["labels"] for label in labels)
        assert (len(table), trained) == (report["rows"], report["trained_tokens"])


def rows(out: Path) -> list[tuple[list[int], list[int]]]:
    table = read(out).data
    return list(zip(*(table.column(name).to_pylist() for name in ("input_ids", "labels")), strict=True))


def texts(out: Path) -> list[list[str]]:
    tokenizer = load_tokenizer(str(out / "tokenizer"))
    return [spans(tokenizer, ids, labels) for ids, labels in rows(out)]


def check_columns(found: datasets.Dataset, vocabulary: int) -> None:
    """Every row: columns of one length, a label is its id or -100, something is trained."""
    assert dict(found.features) == FEATURES
    columns = {name: found.data.column(name).combine_chunks() for name in FEATURES}
    offsets = {name: column.offsets.to_numpy() for name, column in columns.items()}
    ids, mask, labels = (columns[name].flatten().to_numpy() for name in FEATURES)
    assert len(ids) > 0
    assert np.array_equal(offsets["input_ids"], offsets["attention_mask"])
    assert np.array_equal(offsets["input_ids"], offsets["labels"])
    assert ((ids >= 0) & (ids < vocabulary)).all()
    assert (mask == 1).all()
    assert ((labels == ids) | (labels == -100)).all()
    trained = np.add.reduceat(labels != -100, offsets["input_ids"][:-1])
    assert (trained > 0).all()


def check_sums(out: Path, lines: int) -> None:
    """Contract M10, in the manifest and in what is read back."""
    facts = manifest(out)
    counts = facts["counts"]
    found = rows(out)
    lengths = [len(ids) for ids, _ in found]
    lost = sum(counts["dropped"].values()) + sum(counts["rejected"].values()) + counts["blank"]
    assert counts["lines"] == lines == counts["rows"] + lost
    assert counts["rows"] == len(found) == sum(shard["rows"] for shard in facts["shards"])
    assert counts["tokens"] == sum(lengths) == sum(shard["tokens"] for shard in facts["shards"])
    assert counts["trained_tokens"] == sum(len(labels) - labels.count(-100) for _, labels in found)
    assert counts["longest_row"] == max(lengths)
    assert sorted(facts["files"]) == sorted(tree(out).keys() - {"manifest.json"})


def check_by_hand(out: Path, records: Sequence[Record], by_hand: Callable[[Record, str, str], Parts]) -> None:
    """Compare some 40 rows, the first and the last among them, with the slow way."""
    tokenizer = AutoTokenizer.from_pretrained(str(out / "tokenizer"))
    bos = load_tokenizer(str(out / "tokenizer")).bos
    found = rows(out)
    assert len(found) == len(records)
    for index in {*range(0, len(records), max(len(records) // 40, 1)), len(records) - 1}:
        if "<|" not in json.dumps(records[index]):  # there one text in one go would be another text
            parts = by_hand(records[index], bos, tokenizer.eos_token)
            assert found[index] == slow_row(tokenizer, parts)


def lines_of(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


REAL = {
    "gsm8k-qa": ("gsm8k", QA, (), by_hand_qa),
    "alpaca-alpaca": ("alpaca_en", "alpaca", (), by_hand_alpaca),
    "instructions-llama3": ("instruction_data", "llama3", LLAMA3, by_hand_llama3),
    "sharegpt-chatml": ("sharegpt", "chatml", CHATML, by_hand_chatml),
    "sharegpt-llama3": ("sharegpt", "llama3", LLAMA3, by_hand_llama3),
}


# One of them in the other format too; what a row is does not depend on it.
@pytest.mark.parametrize(
    ("case", "format_"), [*((case, "parquet") for case in REAL), ("sharegpt-chatml", "arrow")]
)
@pytest.mark.parametrize("name", ["llama3", "gpt2"])
def test_real_data_reads_back(shared: Path, tmp_path: Path, case: str, name: str, format_: str) -> None:
    data, template, needed, by_hand = REAL[case]
    source, out = shared / "data" / f"{data}.jsonl", tmp_path / "out"
    tokenizer = load_tokenizer(str(shared / "tokenizers" / name))
    added = [token for token in needed if token not in tokenizer.control_tokens]
    report = make(
        out, source, tokenizer=tokenizer.name, template=template, add_special_tokens=added, format=format_
    )
    records = lines_of(source)
    check_columns(read(out), report.tokenizer_size)
    check_sums(out, len(records))
    check_by_hand(out, records, by_hand)


def test_llama3_rows_are_those_of_apply_chat_template(shared: Path, tmp_path: Path) -> None:
    source, out = shared / "data" / "sharegpt.jsonl", tmp_path / "out"
    folder = shared / "tokenizers" / "llama3"
    make(out, source, tokenizer=str(folder), template="llama3", limit=60)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    shown = partial(tokenizer.apply_chat_template, return_dict=False)
    for (ids, labels), record in zip(rows(out), lines_of(source)[:60], strict=True):
        messages = [{"role": role, "content": text} for role, text in turns_of(record)]
        expected = [-100] * len(ids)
        for index, message in enumerate(messages):
            if message["role"] == "assistant":
                start = len(shown(messages[:index], add_generation_prompt=True))
                stop = len(shown(messages[: index + 1]))
                expected[start:stop] = ids[start:stop]
        assert ids == shown(messages)
        assert labels == expected


BUNDLED = {
    "gsm8k-qa": (GSM8K, QA, by_hand_qa),
    "alpaca-alpaca": (ALPACA, "alpaca", by_hand_alpaca),
    "alpaca-chatml": (ALPACA, "chatml", by_hand_chatml),
    "chat-chatml": (CHAT, "chatml", by_hand_chatml),
}


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
@pytest.mark.parametrize("case", BUNDLED)
def test_bundled_data_reads_back(tmp_path: Path, case: str, format_: str) -> None:
    source, template, by_hand = BUNDLED[case]
    out = tmp_path / "out"
    make(out, source, template=template, format=format_)
    check_columns(read(out), 4096)
    check_sums(out, len(lines_of(source)))
    check_by_hand(out, lines_of(source), by_hand)


# What goes in


def parquet(records: list[Record]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), buffer)
    return buffer.getvalue()


WRITTEN: dict[str, Callable[[list[Record]], bytes]] = {
    "a.jsonl": lambda records: jsonl(*records),
    "crlf.jsonl": lambda records: jsonl(*records).replace(b"\n", b"\r\n"),
    "bom.jsonl": lambda records: b"\xef\xbb\xbf" + jsonl(*records),
    "a.jsonl.gz": lambda records: gzip.compress(jsonl(*records)),
    "a.jsonl.bz2": lambda records: bz2.compress(jsonl(*records)),
    "a.jsonl.xz": lambda records: lzma.compress(jsonl(*records)),
    "a.jsonl.zst": lambda records: zstandard.compress(jsonl(*records)),
    "a.json": lambda records: json.dumps(records, indent=2).encode(),
    "a.json.gz": lambda records: gzip.compress(json.dumps(records).encode()),
    "a.parquet": parquet,
}


def talk_texts(*turns: str) -> list[str]:
    """A conversation in ChatML as `texts` shows it."""
    shown, masked = [], ""
    for index, text in enumerate(turns):
        if index % 2 == 0:
            masked += f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
        else:
            shown += [f"[{masked}]", f"{text}<|im_end|>"]
            masked = "\n"
    return [*shown, f"[{masked}]"]


TALK_TEXTS = [
    talk_texts("Hi", "Hello"),
    talk_texts("Été?", "日本語 😀", "And?", "Rome"),
    talk_texts("2+2=", "4"),
]


@pytest.mark.parametrize("name", WRITTEN)
def test_every_kind_of_input_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(WRITTEN[name](TALKS))
    report = make(tmp_path / "out", tmp_path / name, template="chatml")
    assert (report.record_format, report.counts.rows) == ("messages", 3)
    assert texts(tmp_path / "out") == TALK_TEXTS


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("-t", "demo", "--template", "chatml", "-o", "out", "--quiet")
    assert run_sftcli("prepare", "-", *options, stdin=jsonl(*TALKS)) == Ended(0, "", "")
    assert texts(tmp_path / "out") == TALK_TEXTS
    facts = manifest(tmp_path / "out")
    assert facts["inputs"] == [{"file": "-"}]
    assert facts["shards"][0]["input"] == "-"


@pytest.mark.parametrize(
    ("format_", "names"),
    [
        ("parquet", [f"train-0000{i}-of-00003.parquet" for i in range(3)]),
        ("arrow", [f"data-0000{i}-of-00003.arrow" for i in range(3)]),
    ],
)
def test_every_input_is_a_shard(tmp_path: Path, format_: str, names: list[str]) -> None:
    files = [write(tmp_path / f"{name}.jsonl", talk) for name, talk in zip("cab", TALKS, strict=True)]
    out = tmp_path / "out"
    make(out, *files, template="chatml", format=format_)
    assert texts(out) == TALK_TEXTS
    facts = manifest(out)
    sizes = [[len(ids), len(labels) - labels.count(-100)] for ids, labels in rows(out)]
    assert facts["shards"] == [
        {
            "file": name,
            "split": "train",
            "input": str(file),
            "rows": 1,
            "tokens": tokens,
            "trained_tokens": trained,
        }
        for name, file, (tokens, trained) in zip(names, files, sizes, strict=True)
    ]
    assert [entry["file"] for entry in facts["inputs"]] == [str(file) for file in files]
    assert {name for name in facts["files"] if name.endswith(format_)} == set(names)


def test_inputs_without_records_stand_before_one_that_has_some(tmp_path: Path) -> None:
    """The record format is that of the first input that has a record; every line is read once."""
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "blank.jsonl").write_bytes(b"\n \t\r\n\n")
    source = write(tmp_path / "in.jsonl", *TALKS)
    make(tmp_path / "alone", source, template="chatml")
    inputs = [tmp_path / "empty.jsonl", tmp_path / "blank.jsonl", source]
    report = make(tmp_path / "out", *inputs, template="chatml")
    assert rows(tmp_path / "out") == rows(tmp_path / "alone")
    assert (report.record_format, manifest(tmp_path / "out")["counts"]["blank"]) == ("messages", 3)
    check_sums(tmp_path / "out", len(TALKS) + 3)


def test_the_input_without_a_known_format_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    odd = write(tmp_path / "odd.jsonl", {"x": 1})
    with pytest.raises(FileError) as refused:
        make(tmp_path / "out", tmp_path / "empty.jsonl", odd, template="chatml")
    assert str(refused.value).startswith(f"{odd}: no known record format: the fields there are 'x'; ")


def test_a_pattern_names_its_files_in_sorted_order(tmp_path: Path) -> None:
    for name, talk in zip("bca", TALKS, strict=True):
        write(tmp_path / f"{name}.jsonl", talk)
    make(tmp_path / "out", tmp_path / "*.jsonl", template="chatml")
    assert texts(tmp_path / "out") == [TALK_TEXTS[2], TALK_TEXTS[0], TALK_TEXTS[1]]


@pytest.mark.parametrize("split_size", [1, 300, 2_000])
def test_split_boundaries_change_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split_size: int
) -> None:
    monkeypatch.chdir(tmp_path)
    records = [*lines_of(CHAT)[:9], {}, *lines_of(CHAT)[9:]]
    (tmp_path / "in.jsonl").write_bytes(jsonl(*records[:4]) + b"\n" + jsonl(*records[4:]))
    options = {"template": "chatml", "max_length": 100, "on_error": "quarantine"}
    whole = make("whole", "in.jsonl", **options)
    cut = make("cut", "in.jsonl", split_size=split_size, **options)
    assert whole.shards == 1 < cut.shards
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    assert manifest(tmp_path / "cut")["counts"] == manifest(tmp_path / "whole")["counts"]
    assert (tmp_path / "cut/rejects.jsonl").read_bytes() == (tmp_path / "whole/rejects.jsonl").read_bytes()
    assert cut.counts.places == whole.counts.places
    assert cut.counts.longest_place == whole.counts.longest_place


# Options, through the command line

SYSTEM = {"messages": [{"role": "system", "content": "Be brief."}, *chat("Hi", "Hello")["messages"]]}
USER, ANSWER = "<|im_start|>user\n", "<|im_start|>assistant\n"
CHATML_FLAGS = ("--template", "chatml")
OPTIONS: dict[str, tuple[Record, tuple[str, ...], list[str]]] = {
    "one turn": (chat("Hi", "Hello"), CHATML_FLAGS, talk_texts("Hi", "Hello")),
    "the tokenizer's own template": (chat("Hi", "Hello"), (), talk_texts("Hi", "Hello")),
    "train on last": (
        chat("a", "b", "c", "d"),
        (*CHATML_FLAGS, "--train-on", "last"),
        [
            f"[{USER}a<|im_end|>\n{ANSWER}b<|im_end|>\n{USER}c<|im_end|>\n{ANSWER}]",
            "d<|im_end|>",
            "[\n]",
        ],
    ),
    "train on all": (
        chat("a", "b"),
        (*CHATML_FLAGS, "--train-on", "all"),
        [f"{USER}a<|im_end|>\n{ANSWER}b<|im_end|>\n"],
    ),
    "no eos": (
        chat("a", "b"),
        (*CHATML_FLAGS, "--train-on-eos", "none"),
        [f"[{USER}a<|im_end|>\n{ANSWER}]", "b", "[<|im_end|>\n]"],
    ),
    "the last eos": (
        chat("a", "b", "c", "d"),
        (*CHATML_FLAGS, "--train-on-eos", "last"),
        [
            *(f"[{USER}a<|im_end|>\n{ANSWER}]", "b"),
            *(f"[<|im_end|>\n{USER}c<|im_end|>\n{ANSWER}]", "d<|im_end|>", "[\n]"),
        ],
    ),
    "system for records without one": (
        chat("Hi", "Hello"),
        (*CHATML_FLAGS, "--system", "Be kind."),
        [
            f"[<|im_start|>system\nBe kind.<|im_end|>\n{USER}Hi<|im_end|>\n{ANSWER}]",
            *("Hello<|im_end|>", "[\n]"),
        ],
    ),
    "the record's own system": (
        SYSTEM,
        (*CHATML_FLAGS, "--system", "Be kind."),
        [
            f"[<|im_start|>system\nBe brief.<|im_end|>\n{USER}Hi<|im_end|>\n{ANSWER}]",
            *("Hello<|im_end|>", "[\n]"),
        ],
    ),
    "renamed fields": (
        {"frage": "2+2=", "antwort": "4"},
        ("--template", "plain", "--field", "prompt=frage", "--field", "completion=antwort"),
        ["[2+2=]", "4<|im_end|>"],
    ),
    "renamed conversation": (
        {"talk": chat("Hi", "Hello")["messages"]},
        (*CHATML_FLAGS, "--field", "messages=talk"),
        talk_texts("Hi", "Hello"),
    ),
    "fields for a prompt template": (
        {"question": "Why {x}?", "answer": "So.", "id": 7},
        ("--template", QA),
        ["[Q: Why {x}?\nA:]", " So.<|im_end|>"],
    ),
    "named eos": (
        {"prompt": "2+2=", "completion": "4"},
        ("--template", "plain", "--eos-token", "<|endoftext|>"),
        ["[2+2=]", "4<|endoftext|>"],
    ),
    "separator": (
        {"prompt": "a", "completion": "b"},
        ("--template", str(CONFIGS / "templates" / "separator.yaml"), "--sep-token", "<SEP>"),
        ["[a<SEP>]", "b<|im_end|>"],
    ),
    "segments": (
        {"segments": [{"text": "In: ", "label": False}, {"text": "out", "label": True}]},
        (),
        ["[In:]", " out<|im_end|>"],
    ),
    "text": ({"text": "All of <|im_end|> it"}, (), ["All of <|im_end|> it<|im_end|>"]),
    "sharegpt": (
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        CHATML_FLAGS,
        talk_texts("Hi", "Hello"),
    ),
    "alpaca as chat": (
        {"instruction": "Add.", "input": "2+2", "output": "4"},
        CHATML_FLAGS,
        talk_texts("Add.\n\n2+2", "4"),
    ),
    "a named record format": (
        {"prompt": "Hi", "completion": "Hello", "text": "other"},
        ("--record-format", "text"),
        ["other<|im_end|>"],
    ),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Callable[..., Ended], case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    record, options, expected = OPTIONS[case]
    write(tmp_path / "in.jsonl", record)
    ended = sftcli_here("prepare", "in.jsonl", "-t", "demo", "-o", "out", "--quiet", *options)
    assert ended == Ended(0, "", "")
    assert texts(tmp_path / "out") == [expected]


def test_limit_counts_records_over_all_inputs(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", write(tmp_path / "b.jsonl", *TALKS)
    first.write_bytes(b"\n" + jsonl(TALKS[0]) + b"\n\n" + jsonl(TALKS[1]))
    for limit, expected, lines in [
        (1, [0], 2),
        (2, [0, 1], 5),
        (4, [0, 1, 0, 1], 7),
        (9, [0, 1, 0, 1, 2], 8),
    ]:
        out = tmp_path / str(limit)
        make(out, first, second, template="chatml", limit=limit)
        assert texts(out) == [TALK_TEXTS[index] for index in expected]
        check_sums(out, lines)
        assert len(manifest(out)["shards"]) == 2


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_no_line_is_read_behind_the_limit_however_the_input_is_split(tmp_path: Path, suffix: str) -> None:
    record = jsonl({"prompt": "a", "completion": "b"})
    data = b"\n" + record + b"\n\n" + record + b"\n \n" + record
    paths = [tmp_path / f"{name}.jsonl{suffix}" for name in "ab"]
    for path in paths:
        path.write_bytes(gzip.compress(data) if suffix else data)
    for limit, lines in ((1, 2), (2, 5), (3, 8), (4, 10), (6, 16), (7, 16)):
        counts = []
        for size in (10, 40, 60, 1_000):
            out = tmp_path / f"{limit}-{size}"
            make(out, *paths, limit=limit, split_size=size)
            counts.append(manifest(out)["counts"])
            read = min(limit, 6)
            assert [counts[-1][name] for name in ("lines", "rows", "blank")] == [lines, read, lines - read]
            assert datasets.load_dataset(str(out), split="train").num_rows == read
        assert all(one == counts[0] for one in counts)


def test_long_rows_are_dropped_with_their_places(tmp_path: Path) -> None:
    talks = [chat("Hi", "Hello " * count) for count in range(1, 15)]
    source, out = tmp_path / "in.jsonl", tmp_path / "out"
    source.write_bytes(b"\n \n" + jsonl(*talks))
    make(tmp_path / "all", source, template="chatml")
    everything = rows(tmp_path / "all")
    lengths = [len(ids) for ids, _ in everything]
    assert sorted(set(lengths)) == lengths
    report = make(out, source, template="chatml", max_length=lengths[1])
    assert rows(out) == everything[:2]
    check_sums(out, 16)
    assert manifest(out)["counts"]["dropped"] == {"too_long": 12}
    assert manifest(out)["counts"]["blank"] == 2
    assert report.counts.places == {"too_long": [f"{source}:{line}" for line in range(5, 15)]}
    assert report.counts.longest_place == f"{source}:4"


def test_a_row_without_a_trained_token_is_dropped(tmp_path: Path) -> None:
    template = tmp_path / "own.yaml"
    template.write_text('prompt: "{q}"\ncompletion: "{a}"\n')
    source, out = (
        write(tmp_path / "in.jsonl", {"q": "2+2=", "a": ""}, {"q": "2+2=", "a": "4"}),
        tmp_path / "out",
    )
    report = make(out, source, template=str(template), train_on_eos="none")
    assert texts(out) == [["[2+2=]", "4", "[<|im_end|>]"]]
    assert manifest(out)["counts"]["dropped"] == {"no_trained_tokens": 1}
    assert report.counts.places == {"no_trained_tokens": [f"{source}:1"]}


# Bad records


def finding(name: str, count: int, first: str, severity: str = "error") -> dict[str, Any]:
    """What a report says of a rule."""
    return {"name": name, "severity": severity, "count": count, "first": first}


def test_bad_records_are_skipped_and_counted(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", *BAD), tmp_path / "out"
    source.write_bytes(source.read_bytes() + b"{\n\n")
    make(out, source, template="chatml", on_error="skip")
    assert texts(out) == TALK_TEXTS[:2]
    check_sums(out, 6)
    assert manifest(out)["counts"]["rejected"] == {"empty_messages": 1, "cut_short": 1, "unknown_role": 1}
    assert manifest(out)["counts"]["findings"] == {
        "J006": finding("cut_short", 1, f"{source}:5:2"),
        "R006": finding("empty_messages", 1, f"{source}:2:14"),
        "R007": finding("unknown_role", 1, f"{source}:3:24"),
    }
    assert not (out / "rejects.jsonl").exists()


def test_bad_records_are_quarantined_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    broken = b'{"messages": "\xff"}'
    write(Path("a.jsonl"), *BAD)
    Path("b.jsonl").write_bytes(jsonl(TALKS[2]) + broken + b"\r\n")
    make("out", "a.jsonl", "b.jsonl", template="chatml", on_error="quarantine")
    assert texts(tmp_path / "out") == TALK_TEXTS
    lines = jsonl(*BAD).splitlines(keepends=True)
    expected = [
        ("a.jsonl", 2, 14, len(lines[0]), "empty_messages", "R006", lines[1].decode().rstrip("\n")),
        ("a.jsonl", 3, 24, len(lines[0] + lines[1]), "unknown_role", "R007", lines[2].decode().rstrip("\n")),
        ("b.jsonl", 2, 15, len(jsonl(TALKS[2])), "utf8", "J001", '{"messages": "\\xff"}'),
    ]
    names = ("file", "line", "column", "byte", "name", "code", "raw")
    rejects = lines_of(Path("out/rejects.jsonl"))
    messages = [reject.pop("message") for reject in rejects]
    assert rejects == [dict(zip(names, values, strict=True)) for values in expected]
    assert messages == [
        "messages: the conversation has no messages",
        "messages[0].role: unknown role 'boss'; known: system, user, human, assistant, gpt, bot, model, "
        "tool, observation, function_response, function_call",
        "byte 0xff is not UTF-8 (invalid start byte); convert the file, such as with "
        "iconv -f WINDOWS-1252 -t UTF-8",
    ]
    assert "rejects.jsonl" in manifest(Path("out"))["files"]


def test_no_rejects_no_file(tmp_path: Path) -> None:
    make(tmp_path / "out", write(tmp_path / "in.jsonl", *TALKS), template="chatml", on_error="quarantine")
    assert not (tmp_path / "out" / "rejects.jsonl").exists()


# Equal runs give equal bytes


def run_in(folder: Path, *options: str, **environment: str) -> dict[str, bytes]:
    """The files of a run over the bundled conversations, from a folder of its own."""
    folder.mkdir()
    shutil.copy(CHAT, folder)
    flags = ("-t", "demo", "--template", "chatml", "-o", "out", "--add-special-token", "<X>", "--json")
    found = run_sftcli("prepare", "chat.jsonl", *flags, *options, cwd=folder, **environment)
    assert (found.code, found.err) == (0, "")
    return tree(folder / "out")


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_environment_changes_no_byte(tmp_path: Path, format_: str) -> None:
    one, two = (
        run_in(tmp_path / name, "--format", format_, **environment)
        for name, environment in [
            ("one", {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "UTC", "RAYON_NUM_THREADS": "1"}),
            ("two", {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo", "PYTHONUTF8": "0"}),
        ]
    )
    assert one == two


def test_engines_change_no_byte_but_their_name(tmp_path: Path) -> None:
    trees = {name: run_in(tmp_path / name, "--encoder", name) for name in ("fastokens", "tokenizers")}
    facts = {name: json.loads(files.pop("manifest.json")) for name, files in trees.items()}
    assert trees["fastokens"] == trees["tokenizers"]
    for name, entry in facts.items():
        assert entry.pop("engine").split()[0] == entry["config"].pop("encoder") == name
        del entry["sha256"]  # the manifest's own
    assert facts["fastokens"] == facts["tokenizers"]


SIMPLE = st.text(min_size=1).filter(lambda text: not text.isspace() and "<|" not in text)


@given(
    pairs=st.lists(st.tuples(SIMPLE, SIMPLE), min_size=1, max_size=5),
    codec=st.sampled_from([(format_, name) for format_, names in COMPRESSIONS.items() for name in names]),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]], codec: tuple[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("random")
    source = write(folder / "in.jsonl", *({"prompt": prompt, "completion": text} for prompt, text in pairs))
    make(folder / "out", source, template="plain", format=codec[0], compression=codec[1])
    shard = next(path for path in (folder / "out").iterdir() if path.suffix in (".parquet", ".arrow"))
    if codec[0] == "parquet":
        table = pq.read_table(shard)
    else:
        with pa.memory_map(str(shard)) as mapped:
            table = pa.ipc.open_stream(mapped).read_all()
    tokenizer = AutoTokenizer.from_pretrained(str(folder / "out" / "tokenizer"))
    expected = [slow_row(tokenizer, [(prompt, False), (text + "<|im_end|>", True)]) for prompt, text in pairs]
    assert table["attention_mask"].to_pylist() == [[1] * len(ids) for ids, _ in expected]
    assert table["input_ids"].to_pylist() == [ids for ids, _ in expected]
    assert table["labels"].to_pylist() == [labels for _, labels in expected]
