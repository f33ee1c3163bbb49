"""`datasets` opens what sftcli writes, with exact types, and joins it to what it made itself."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import CONFIGS, EXAMPLES, make

pytest.importorskip("torch", reason="needs torch; `make test-trainers` installs it")

import pyarrow as pa
from datasets import (
    Dataset,
    Features,
    List,
    Value,
    concatenate_datasets,
    load_dataset,
    load_from_disk,
)
from tiny import rows_of
from transformers import AutoTokenizer

QA = str(CONFIGS / "templates" / "qa.yaml")
FEATURES = Features(
    {"input_ids": List(Value("int32")), "attention_mask": List(Value("int8")), "labels": List(Value("int32"))}
)


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("datasets") / "parquet"
    make(out, EXAMPLES / "gsm8k.jsonl", template=QA)
    return out


@pytest.fixture(scope="module")
def loaded(parquet: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same rows by each way to read them."""
    folder = tmp_path_factory.mktemp("loaded")
    make(folder / "arrow", EXAMPLES / "gsm8k.jsonl", template=QA, format="arrow")
    cache = {"cache_dir": str(folder / "cache"), "split": "train"}
    return {
        "load_dataset": load_dataset(str(parquet), **cache),
        "data_files": load_dataset("parquet", data_files=str(parquet / "train-*.parquet"), **cache),
        "load_from_disk": load_from_disk(str(folder / "arrow")),
    }


WAYS = ["load_dataset", "data_files", "load_from_disk"]


@pytest.mark.parametrize("way", WAYS)
def test_types_and_rows_are_exact(parquet: Path, loaded: dict[str, Any], way: str) -> None:
    dataset = loaded[way]
    assert dataset.features == FEATURES
    # No large lists: they would not join with what datasets makes.
    assert {field.type for field in dataset.data.schema} == {pa.list_(pa.int32()), pa.list_(pa.int8())}
    assert dataset.to_list() == rows_of(parquet)
    assert len(dataset) == 200


@pytest.mark.parametrize("way", WAYS)
def test_rows_join_those_of_a_map(
    parquet: Path, loaded: dict[str, Any], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a hand-written `datasets.map` makes of the same records joins them, and is equal to them."""
    tokenizer = AutoTokenizer.from_pretrained(str(parquet / "tokenizer"))

    def tokenized(record: dict[str, str]) -> dict[str, list[int]]:
        prompt = tokenizer(f"Q: {record['question']}\nA:")["input_ids"]
        whole = tokenizer(f"Q: {record['question']}\nA: {record['answer']}<|im_end|>")["input_ids"]
        assert whole[: len(prompt)] == prompt
        labels = [-100] * len(prompt) + whole[len(prompt) :]
        return {"input_ids": whole, "attention_mask": [1] * len(whole), "labels": labels}

    with (EXAMPLES / "gsm8k.jsonl").open(encoding="utf-8") as file:
        records = Dataset.from_list([json.loads(line) for line in file])
    by_hand = records.map(tokenized, remove_columns=records.column_names, features=FEATURES)
    joined = concatenate_datasets([loaded[way], by_hand])
    assert joined.features == FEATURES
    assert len(joined) == 400
    assert joined[:200] == joined[200:]


def test_int64_labels_join_what_a_map_makes_by_itself(tmp_path: Path, loaded: dict[str, Any]) -> None:
    """`datasets` infers int64 for a list of Python's numbers; rows of other types are refused."""
    inferred = Dataset.from_dict({"labels": [[1, -100]]})
    assert inferred.features == Features({"labels": List(Value("int64"))})
    labels = loaded["load_dataset"].select_columns(["labels"])
    with pytest.raises(ValueError, match="The features can't be aligned"):
        concatenate_datasets([labels, inferred])
    out = tmp_path / "int64"
    make(out, EXAMPLES / "gsm8k.jsonl", template=QA, labels_dtype="int64", format="arrow")
    wide = load_from_disk(str(out))
    assert wide.features["labels"] == List(Value("int64"))
    assert concatenate_datasets([wide.select_columns(["labels"]), inferred])[200]["labels"] == [1, -100]
