"""What a model learns from our labels: the loss is the mean over exactly the trained tokens."""

from pathlib import Path
from typing import Any

import pytest
from conftest import CONFIGS, EXAMPLES, make

torch = pytest.importorskip("torch", reason="needs torch; `make test-trainers` installs it")

import pyarrow.parquet as pq  # noqa: E402
from transformers import (  # noqa: E402
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    LlamaConfig,
    LlamaForCausalLM,
)

Row = dict[str, list[int]]
CASES = {
    "qa": (EXAMPLES / "gsm8k.jsonl", {"template": str(CONFIGS / "templates" / "qa.yaml"), "limit": 24}),
    "alpaca": (EXAMPLES / "alpaca.jsonl", {"template": "alpaca"}),
    "chat": (EXAMPLES / "chat.jsonl", {"template": "chatml"}),
    "chat, pad is eos": (EXAMPLES / "chat.jsonl", {"template": "chatml", "pad_token": "<|im_end|>"}),
    "chat, all": (EXAMPLES / "chat.jsonl", {"template": "chatml", "train_on": "all"}),
}


@pytest.fixture(scope="module")
def model() -> Any:
    """A Llama with two small layers and random weights, in float64."""
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=4096, max_position_embeddings=512, initializer_range=0.3, **size)
    return LlamaForCausalLM(config).double().eval()


def prepared(folder: Path, case: str) -> tuple[Any, list[Row]]:
    """The saved tokenizer and the rows of one case."""
    source, options = CASES[case]
    make(folder, source, **options)
    rows = pq.read_table(folder / "train-00000-of-00001.parquet").to_pylist()
    return AutoTokenizer.from_pretrained(str(folder / "tokenizer")), rows


def trained_places(tokenizer: Any, case: str, ids: list[int]) -> list[int]:
    """The places of the tokens that should be trained, found again in the ids."""
    if case == "chat, all":
        return list(range(1, len(ids)))  # nothing comes before the first token to tell it from
    ends = {"qa": "\nA:", "alpaca": "### Response:\n"}
    if case in ends:
        prompt = tokenizer.decode(ids).partition(ends[case])[0] + ends[case]
        return list(range(len(tokenizer.encode(prompt, add_special_tokens=False)), len(ids)))
    header = tokenizer.encode("<|im_start|>assistant\n", add_special_tokens=False)
    places, place = [], 0
    while place < len(ids):
        place += 1
        if ids[max(place - len(header), 0) : place] == header:
            stop = ids.index(tokenizer.convert_tokens_to_ids("<|im_end|>"), place) + 1
            places += range(place, stop)
            place = stop
    return places


@pytest.fixture(scope="module", params=CASES)
def rows_and_losses(
    request: pytest.FixtureRequest, model: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, list[Row], list[Any]]:
    """Tokenizer, rows, and for each row the negative log-likelihoods of its trained tokens."""
    tokenizer, rows = prepared(tmp_path_factory.mktemp("loss") / "out", request.param)
    losses = []
    for row in rows:
        ids = row["input_ids"]
        with torch.no_grad():
            likelihoods = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        places = trained_places(tokenizer, request.param, ids)
        losses.append(torch.stack([-likelihoods[place - 1, ids[place]] for place in places]))
    return tokenizer, rows, losses


def loss_of(model: Any, batch: dict[str, Any]) -> float:
    with torch.no_grad():
        return float(model(**batch).loss)


def tensors(row: Row, **instead: list[int]) -> dict[str, Any]:
    return {name: torch.tensor([column]) for name, column in {**row, **instead}.items()}


def test_the_loss_of_a_row_is_the_mean_over_its_trained_tokens(model: Any, rows_and_losses: Any) -> None:
    _, rows, losses = rows_and_losses
    assert len(rows) >= 16
    for row, expected in zip(rows, losses, strict=True):
        assert loss_of(model, tensors(row)) == pytest.approx(float(expected.mean()), rel=1e-6)


def test_the_loss_of_a_padded_batch_is_the_mean_over_all_trained_tokens(
    model: Any, rows_and_losses: Any
) -> None:
    tokenizer, rows, losses = rows_and_losses
    batch = DataCollatorForSeq2Seq(tokenizer)([dict(row) for row in rows])
    assert (batch["attention_mask"] == 0).any()
    assert (batch["input_ids"][batch["attention_mask"] == 0] == tokenizer.pad_token_id).all()
    assert loss_of(model, batch) == pytest.approx(float(torch.cat(losses).mean()), rel=1e-6)


def test_other_labels_give_another_loss(model: Any, rows_and_losses: Any) -> None:
    _, rows, losses = rows_and_losses
    row, expected = rows[0], float(losses[0].mean())
    ids, labels = row["input_ids"], row["labels"]
    last = max(place for place, label in enumerate(labels) if label != -100)
    first = min(place for place, label in enumerate(labels) if label != -100 and place > 0)
    others = {
        "shifted": [*labels[1:], -100],
        "without the terminator": [-100 if place == last else label for place, label in enumerate(labels)],
        "without the first token": [-100 if place == first else label for place, label in enumerate(labels)],
    }
    if -100 in labels:
        others["everything"] = ids
    for other in others.values():
        assert loss_of(model, tensors(row, labels=other)) != pytest.approx(expected, rel=1e-4)


def test_a_pad_that_is_the_eos_costs_no_label(tmp_path: Path) -> None:
    tokenizer, rows = prepared(tmp_path / "out", "chat, pad is eos")
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 4095
    batch = DataCollatorForSeq2Seq(tokenizer)([dict(row) for row in rows])
    for row, labels, mask in zip(
        rows, batch["labels"].tolist(), batch["attention_mask"].tolist(), strict=True
    ):
        size = len(row["labels"])
        assert labels == row["labels"] + [-100] * (len(labels) - size)
        assert mask == [1] * size + [0] * (len(labels) - size)
        assert 4095 in labels
