"""transformers' Trainer on rows as they were written: its loss is the one worked out by hand."""

import copy
from pathlib import Path
from typing import Any

import pytest
from conftest import CONFIGS, EXAMPLES, make

torch = pytest.importorskip("torch", reason="needs torch; `make test-trainers` installs it")

from datasets import load_dataset, load_from_disk  # noqa: E402
from tiny import llama, mean_loss, nearly, rows_of  # noqa: E402
from transformers import (  # noqa: E402
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
)

BATCH = 4
CASES = {
    "qa": (EXAMPLES / "gsm8k.jsonl", {"template": str(CONFIGS / "templates" / "qa.yaml"), "limit": 40}),
    "chat": (EXAMPLES / "chat.jsonl", {"template": "chatml"}),
    "chat, pad is eos": (EXAMPLES / "chat.jsonl", {"template": "chatml", "pad_token": "<|im_end|>"}),
}


class Watched(Trainer):
    """A Trainer that keeps each step's batch and loss."""

    def training_step(self, model: Any, inputs: Any, *rest: Any, **more: Any) -> Any:
        loss = super().training_step(model, inputs, *rest, **more)
        self.seen.append({name: values.tolist() for name, values in inputs.items()} | {"loss": float(loss)})
        return loss


def trained(model: Any, dataset: Any, collator: Any, folder: Path, **more: Any) -> Watched:
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        per_device_train_batch_size=BATCH,
        train_sampling_strategy="sequential",
        learning_rate=1e-3,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        seed=0,
        **{"max_steps": 10, **more},
    )
    trainer = Watched(model, arguments, train_dataset=dataset, data_collator=collator)
    trainer.seen = []
    trainer.train()
    return trainer


@pytest.fixture(scope="module", params=CASES)
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, options = CASES[request.param]
    out = tmp_path_factory.mktemp("trainer") / "out"
    make(out, source, **options)
    return out


def dataset_of(out: Path, folder: Path) -> Any:
    return load_dataset(str(out), split="train", cache_dir=str(folder / "cache"))


def test_ten_steps_and_the_first_loss(prepared: Path, tmp_path: Path) -> None:
    model, rows = llama(), rows_of(prepared)
    untrained = copy.deepcopy(model)
    tokenizer = AutoTokenizer.from_pretrained(str(prepared / "tokenizer"))
    trainer = trained(
        model, dataset_of(prepared, tmp_path), DataCollatorForSeq2Seq(tokenizer, model), tmp_path
    )
    assert trainer.state.global_step == len(trainer.seen) == 10
    first = trainer.seen[0]
    assert first["loss"] == nearly(mean_loss(untrained, rows[:BATCH]))
    assert trainer.state.log_history[0]["loss"] == nearly(first["loss"])
    # The model did learn from the labels: the mean over all rows is lower after ten steps.
    assert mean_loss(model, rows) < 0.99 * mean_loss(untrained, rows)


def test_rows_reach_the_model_as_they_were_written(prepared: Path, tmp_path: Path) -> None:
    """Every row of an epoch, cut out of its batch by position, is a row of the files."""
    rows = rows_of(prepared)
    tokenizer = AutoTokenizer.from_pretrained(str(prepared / "tokenizer"))
    collator = DataCollatorForSeq2Seq(tokenizer)
    dataset = dataset_of(prepared, tmp_path)
    trainer = trained(llama(), dataset, collator, tmp_path, max_steps=-1, num_train_epochs=1)
    names = ("input_ids", "attention_mask", "labels")
    given = [{name: batch[name][place] for name in names} for batch in trainer.seen for place in range(BATCH)]
    assert len(given) == len(rows)
    for row, padded in zip(rows, given, strict=True):
        size, more = len(row["input_ids"]), len(padded["input_ids"]) - len(row["input_ids"])
        padding = {"input_ids": tokenizer.pad_token_id, "attention_mask": 0, "labels": -100}
        assert {name: padded[name][:size] for name in names} == row
        assert {name: padded[name][size:] for name in names} == {
            name: [value] * more for name, value in padding.items()
        }


def test_arrow_trains_as_parquet_does(tmp_path: Path) -> None:
    source, options = CASES["qa"]
    given = {}
    for format_ in ("parquet", "arrow"):
        out = tmp_path / format_
        make(out, source, format=format_, **options)
        dataset = dataset_of(out, tmp_path) if format_ == "parquet" else load_from_disk(str(out))
        tokenizer = AutoTokenizer.from_pretrained(str(out / "tokenizer"))
        given[format_] = trained(
            llama(), dataset, DataCollatorForSeq2Seq(tokenizer), tmp_path, max_steps=3
        ).seen
    assert given["arrow"] == given["parquet"]


def test_the_collator_for_language_modeling_makes_other_labels(tmp_path: Path) -> None:
    """Why the page of trainers names DataCollatorForSeq2Seq: this one trains the prompt and not the pad."""
    source, options = CASES["chat"]
    make(tmp_path / "out", source, **options)
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path / "out" / "tokenizer"))
    row = rows_of(tmp_path / "out")[0]
    batch = DataCollatorForLanguageModeling(tokenizer, mlm=False)([row])
    assert -100 in row["labels"]
    assert batch["labels"][0].tolist() == row["input_ids"]


def test_the_validation_split_is_evaluated(tmp_path: Path) -> None:
    source, options = CASES["qa"]
    make(tmp_path / "out", source, **options, val_size=10)
    splits = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {side: len(rows) for side, rows in splits.items()} == {"train": 30, "validation": 10}
    model = llama()
    trainer = Trainer(
        model,
        TrainingArguments(
            output_dir=str(tmp_path / "trainer"),
            per_device_eval_batch_size=10,
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        data_collator=DataCollatorForSeq2Seq(
            AutoTokenizer.from_pretrained(str(tmp_path / "out" / "tokenizer"))
        ),
    )
    assert trainer.evaluate()["eval_loss"] == nearly(mean_loss(model, splits["validation"].to_list()))
