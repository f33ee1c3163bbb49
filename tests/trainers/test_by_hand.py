"""Loops written by hand: each layout gives the loss of the one trained mask that they all are made of."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import CONFIGS, EXAMPLES, make

torch = pytest.importorskip("torch", reason="needs torch; `make test-trainers` installs it")

import numpy as np  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from datasets import load_dataset  # noqa: E402
from tiny import llama, losses, mean_loss, nearly, rows_of  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402
from transformers import (  # noqa: E402
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    T5Config,
    T5ForConditionalGeneration,
    default_data_collator,
    set_seed,
)

CASES: dict[str, tuple[Path, dict[str, Any]]] = {
    "qa": (EXAMPLES / "gsm8k.jsonl", {"template": str(CONFIGS / "templates" / "qa.yaml"), "limit": 8}),
    "chat": (EXAMPLES / "chat.jsonl", {"template": "chatml", "limit": 8}),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Path, dict[str, Any]]:
    return CASES[request.param]


def written(out: Path, case: tuple[Path, dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    make(out, case[0], **case[1], **options)
    return rows_of(out)


def batch_of(rows: list[dict[str, Any]], name: str, filler: int) -> Any:
    """A column as a tensor, filled up on the right."""
    size = max(len(row[name]) for row in rows)
    return torch.tensor([row[name] + [filler] * (size - len(row[name])) for row in rows])


def test_shifted_gives_the_loss_of_causal(tmp_path: Path, case: tuple[Path, dict[str, Any]]) -> None:
    """The loop over `causal` shifts the labels, that over `shifted` does not: five equal steps."""
    rows = {name: written(tmp_path / name, case, layout=name) for name in ("causal", "shifted")}
    steps: dict[str, list[float]] = {name: [] for name in rows}
    for name, losses_ in steps.items():
        model = llama()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        ids = batch_of(rows[name], "input_ids", 0)
        labels = batch_of(rows[name], "labels", -100)
        for _ in range(5):
            logits = model(ids, attention_mask=batch_of(rows[name], "attention_mask", 0)).logits
            if name == "causal":
                loss = cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
            else:
                loss = cross_entropy(logits.flatten(0, 1), labels.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses_.append(loss.item())
    assert steps["shifted"] == pytest.approx(steps["causal"], rel=1e-9)  # float64 from end to end
    assert steps["causal"][0] == nearly(mean_loss(llama(), rows["causal"]))
    assert steps["causal"][4] < steps["causal"][0]


def test_cross_entropy_wants_int64_labels(tmp_path: Path) -> None:
    """What --labels-dtype int64 is for: a column goes straight from the file into the loss."""
    loss = {}
    for name in ("int32", "int64"):
        written(tmp_path / name, CASES["chat"], layout="shifted", labels_dtype=name)
        row = pq.read_table(tmp_path / name / "train-00000-of-00001.parquet").slice(0, 1)
        ids, labels = (
            row[column].combine_chunks().flatten().to_numpy() for column in ("input_ids", "labels")
        )
        assert labels.dtype == np.dtype(name)
        with torch.no_grad():
            logits = llama()(torch.tensor(ids)[None]).logits[0]
        targets = torch.tensor(labels)
        if name == "int32":
            with pytest.raises(RuntimeError, match="Long or Byte, but got Int"):
                cross_entropy(logits, targets)
            targets = targets.long()
        loss[name] = cross_entropy(logits, targets).item()
    assert loss["int32"] == loss["int64"]


def test_steps_together_are_the_loss_of_their_rows(tmp_path: Path, case: tuple[Path, dict[str, Any]]) -> None:
    """Each trained token is a row of its own, and what they cost is what the rows cost."""
    model = llama()
    causal = written(tmp_path / "causal", case)[:3]
    steps = written(tmp_path / "steps", case, layout="steps")
    expected = [loss for row in causal for loss in losses(model, row["input_ids"], row["labels"])]
    found = []
    for step in steps[: len(expected)]:
        assert len(step["labels"]) == 1
        with torch.no_grad():
            logits = model(torch.tensor([step["input_ids"]])).logits[0, -1]
        found.append(cross_entropy(logits, torch.tensor(step["labels"][0])).item())
    assert found == pytest.approx(expected, rel=2e-6)
    assert sum(found) == nearly(sum(expected))


def t5() -> Any:
    set_seed(0)
    config = T5Config(
        vocab_size=4096,
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        dropout_rate=0.0,
        pad_token_id=0,
        decoder_start_token_id=0,
        initializer_factor=0.3,
    )
    return T5ForConditionalGeneration(config).double()


def test_seq2seq_trains_a_t5(tmp_path: Path, case: tuple[Path, dict[str, Any]]) -> None:
    rows = written(tmp_path / "out", case, layout="seq2seq")
    model = t5()
    each = []
    for row in rows:  # the answer alone, from a decoder that starts with its start token
        answer = row["labels"]
        assert -100 not in answer
        assert answer[-1] == 4095  # <|im_end|>, so that the model learns to stop
        with torch.no_grad():
            likelihoods = model(
                input_ids=torch.tensor([row["input_ids"]]),
                decoder_input_ids=torch.tensor([[0, *answer[:-1]]]),
            ).logits[0]
        each += (-likelihoods.log_softmax(-1)[range(len(answer)), answer]).tolist()
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path / "out" / "tokenizer"))
    batch = DataCollatorForSeq2Seq(tokenizer, model)(rows)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-2)
    steps = []
    for _ in range(10):
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps.append(loss.item())
    assert steps[0] == nearly(sum(each) / len(each))
    assert steps[-1] < 0.9 * steps[0]


def test_packed_rows_with_positions_and_no_attention_mask(tmp_path: Path) -> None:
    """A model of transformers keeps documents apart by position_ids, unless it is given a mask of ones."""
    source, options = CASES["qa"]
    make(tmp_path / "packed", source, packing="bfd", max_length=512, **options)
    dataset = load_dataset(str(tmp_path / "packed"), split="train", cache_dir=str(tmp_path / "cache"))
    rows = rows_of(tmp_path / "packed")
    model = llama()
    for place, row in enumerate(rows):
        assert len(row["seq_lengths"]) > 1
        bounds = np.cumsum([0, *row["seq_lengths"]])
        apart = [
            {name: row[name][first:last] for name in ("input_ids", "labels")}
            for first, last in pairwise(bounds)
        ]
        batch = default_data_collator(
            [dataset.select_columns(["input_ids", "labels", "position_ids"])[place]]
        )
        with torch.no_grad():
            alone = model(**batch, use_cache=False).loss.item()
            ones = model(**batch, attention_mask=torch.ones_like(batch["input_ids"]), use_cache=False).loss
        assert alone == nearly(mean_loss(model, apart))
        assert abs(ones.item() - alone) > 1e-3


def test_padded_rows_need_no_collator(tmp_path: Path, case: tuple[Path, dict[str, Any]]) -> None:
    plain = written(tmp_path / "plain", case)
    for side in ("right", "left"):
        rows = written(
            tmp_path / side, case, pad="multiple-of:512", max_length=512, padding_side=side, layout="causal"
        )
        assert {len(row["input_ids"]) for row in rows} == {512}
        model, batch = llama(), default_data_collator(rows)
        if side == "left":  # positions count from the first token that is not padding
            batch["position_ids"] = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)
        with torch.no_grad():
            assert model(**batch).loss.item() == nearly(mean_loss(model, plain))
