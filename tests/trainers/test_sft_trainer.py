"""TRL's SFTTrainer on rows as they were written, plain and packed.

It must not process them again: neither its datasets' `map` and `filter` nor its packing may run.
"""

from pathlib import Path
from typing import Any

import pytest
from conftest import CONFIGS, EXAMPLES, make

torch = pytest.importorskip("torch", reason="needs torch; `make test-trainers` installs it")
pytest.importorskip("trl", reason="needs trl; `make test-trainers` installs it")

from datasets import Dataset, load_dataset  # noqa: E402
from tiny import llama, mean_loss, nearly, rows_of  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402

BATCH = 4
CASES = {
    "qa": (EXAMPLES / "gsm8k.jsonl", {"template": str(CONFIGS / "templates" / "qa.yaml"), "limit": 40}),
    "chat": (EXAMPLES / "chat.jsonl", {"template": "chatml"}),
}


class Watched(SFTTrainer):
    """An SFTTrainer that keeps each step's batch and loss."""

    def training_step(self, model: Any, inputs: Any, *rest: Any, **more: Any) -> Any:
        given = {name: values.tolist() for name, values in inputs.items() if torch.is_tensor(values)}
        loss = super().training_step(model, inputs, *rest, **more)
        self.seen.append(given | {"loss": float(loss)})
        return loss


def trained(out: Path, folder: Path, model: Any = None, **more: Any) -> Watched:
    arguments = SFTConfig(
        output_dir=str(folder / "trainer"),
        train_sampling_strategy="sequential",
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        bf16=False,  # TRL's default; it would round every likelihood
        activation_checkpointing=False,  # TRL's default is its old name, at which transformers warns
        disable_tqdm=True,
        seed=0,
        **{
            "max_steps": 10,
            "learning_rate": 1e-3,
            "per_device_train_batch_size": BATCH,
            "max_length": None,
            **more,
        },
    )
    trainer = Watched(
        model or llama(),
        arguments,
        train_dataset=load_dataset(str(out), split="train", cache_dir=str(folder / "cache")),
        processing_class=AutoTokenizer.from_pretrained(str(out / "tokenizer")),
    )
    trainer.seen = []
    trainer.train()
    return trainer


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was called to make one dataset from another."""
    called: list[str] = []

    def watch(name: str) -> None:
        original = getattr(Dataset, name)

        def counted(*args: Any, **options: Any) -> Any:
            called.append(name)
            return original(*args, **options)

        monkeypatch.setattr(Dataset, name, counted)

    for name in ("map", "filter", "shuffle"):
        watch(name)
    return called


@pytest.fixture(scope="module", params=CASES)
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, options = CASES[request.param]
    out = tmp_path_factory.mktemp("sft") / "plain"
    make(out, source, profile="trl", **options)
    return out


def test_plain_rows_are_not_processed_again(plain: Path, tmp_path: Path, changes: list[str]) -> None:
    trainer = trained(plain, tmp_path, max_steps=1)
    assert changes == []
    assert trainer.train_dataset.to_list() == rows_of(plain)


def test_plain_rows_reach_the_model(plain: Path, tmp_path: Path) -> None:
    trainer = trained(plain, tmp_path, max_steps=-1, num_train_epochs=1)
    pad = trainer.processing_class.pad_token_id
    places = [(batch, place) for batch in trainer.seen for place in range(BATCH)]
    for row, (batch, place) in zip(rows_of(plain), places, strict=True):
        more = len(batch["input_ids"][place]) - len(row["input_ids"])
        assert batch["input_ids"][place] == row["input_ids"] + [pad] * more
        assert batch["labels"][place] == row["labels"] + [-100] * more
        assert batch["attention_mask"][place] == [1] * len(row["input_ids"]) + [0] * more


def test_plain_first_loss(plain: Path, tmp_path: Path) -> None:
    rows = rows_of(plain)
    trainer = trained(plain, tmp_path)
    assert trainer.state.global_step == len(trainer.seen) == 10
    assert trainer.seen[0]["loss"] == nearly(mean_loss(llama(), rows[:BATCH]))
    assert mean_loss(trainer.model, rows) < 0.99 * mean_loss(llama(), rows)


def test_a_max_length_that_is_forgotten_cuts(plain: Path, tmp_path: Path, changes: list[str]) -> None:
    """Why the page says max_length=None: SFTTrainer's own cut leaves answers without an end."""
    trainer = trained(plain, tmp_path, max_length=64, max_steps=1)
    assert {"map", "filter"} <= set(changes)
    assert max(map(len, trainer.train_dataset["input_ids"])) == 64


@pytest.mark.parametrize("packing", ["none", "bfd"])
def test_columns_of_ones_own_are_left_out_by_the_trainer(
    tmp_path: Path, packing: str, changes: list[str]
) -> None:
    source, options = CASES["qa"]
    options = options | {"profile": "trl", "packing": packing, "max_length": 512}
    make(tmp_path / "bare", source, **options)
    make(tmp_path / "more", source, **options, keep=["question"], columns=["source", "length", "turn_ids"])
    more = PACKED if packing == "bfd" else {}
    seen = [trained(tmp_path / name, tmp_path / name, max_steps=2, **more).seen for name in ("bare", "more")]
    assert seen[0] == seen[1]
    assert changes == []


PACKED = {"packing": False, "padding_free": True, "max_length": None, "per_device_train_batch_size": 2}


@pytest.fixture(scope="module", params=["bfd", "wrapped"])
def packing(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def packed(packing: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, options = CASES["qa"]
    out = tmp_path_factory.mktemp("sft") / packing
    make(out, source, profile="trl", packing=packing, max_length=512, **options)
    return out


def documents(row: dict[str, Any]) -> list[dict[str, list[int]]]:
    """The records of a packed row, each as a row of its own."""
    found, first = [], 0
    for size in row["seq_lengths"]:
        found.append({name: row[name][first : first + size] for name in ("input_ids", "labels")})
        first += size
    assert first == len(row["input_ids"])
    return found


def joined(rows: list[dict[str, Any]], name: str) -> list[int]:
    return [value for row in rows for value in row[name]]


def test_packed_rows_are_not_processed_again(packed: Path, tmp_path: Path, changes: list[str]) -> None:
    rows = rows_of(packed)
    assert max(len(row["seq_lengths"]) for row in rows) > 2
    trainer = trained(packed, tmp_path, max_steps=1, **PACKED)
    assert changes == []
    assert trainer.train_dataset.to_list() == rows


def test_packed_rows_reach_the_model(packed: Path, tmp_path: Path) -> None:
    rows = rows_of(packed)
    trainer = trained(packed, tmp_path, max_steps=-1, num_train_epochs=1, **PACKED)
    assert len(trainer.seen) == -(-len(rows) // 2)
    for batch, first in zip(trainer.seen, range(0, len(rows), 2), strict=True):
        given = rows[first : first + 2]
        assert batch["input_ids"] == [joined(given, "input_ids")]
        assert batch["labels"] == [joined(given, "labels")]
        assert batch["position_ids"] == [
            [place for row in given for size in row["seq_lengths"] for place in range(size)]
        ]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_first_loss(packed: Path, tmp_path: Path, attention: str) -> None:
    """Rows of a pack do not see one another, and this holds without flash attention."""
    rows = rows_of(packed)
    trainer = trained(packed, tmp_path, llama(attn_implementation=attention), max_steps=2, **PACKED)
    apart = [document for row in rows[:2] for document in documents(row)]
    assert trainer.seen[0]["loss"] == nearly(mean_loss(llama(), apart))
    # Where each saw what stands before it in its pack, the loss would be another one.
    assert abs(mean_loss(llama(), rows[:2]) - trainer.seen[0]["loss"]) > 1e-3


def test_packed_loss_is_the_mean_over_the_rows_unpacked(tmp_path: Path) -> None:
    """All packs together cost what all records cost that were never packed."""
    source, options = CASES["qa"]
    make(tmp_path / "plain", source, **options)
    make(tmp_path / "packed", source, profile="trl", packing="bfd", max_length=512, **options)
    still = {"learning_rate": 0.0, "max_steps": -1, "num_train_epochs": 1}
    trainer = trained(tmp_path / "packed", tmp_path, **still, **PACKED)
    total = count = 0
    for batch in trainer.seen:
        labelled = sum(label != -100 for label in batch["labels"][0])
        total, count = total + labelled * batch["loss"], count + labelled
    assert total / count == nearly(mean_loss(llama(), rows_of(tmp_path / "plain")))


def test_the_validation_split_is_evaluated(tmp_path: Path, changes: list[str]) -> None:
    source, options = CASES["qa"]
    make(tmp_path / "out", source, profile="trl", **options, val_size=10)
    splits = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {side: len(rows) for side, rows in splits.items()} == {"train": 30, "validation": 10}
    model = llama()
    changes.clear()
    trainer = SFTTrainer(
        model,
        SFTConfig(
            output_dir=str(tmp_path / "trainer"),
            per_device_eval_batch_size=10,
            max_length=None,
            report_to="none",
            use_cpu=True,
            bf16=False,
            activation_checkpointing=False,
            disable_tqdm=True,
        ),
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        processing_class=AutoTokenizer.from_pretrained(str(tmp_path / "out" / "tokenizer")),
    )
    assert trainer.evaluate()["eval_loss"] == nearly(mean_loss(model, splits["validation"].to_list()))
    assert changes == []
