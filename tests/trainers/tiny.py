"""What the tests of trainers share: tiny models, rows as they lie in the files, losses worked out by hand.

The models are in float64, so that sums in another order change nothing that a test could see.
Llama's norms and transformers' losses are float32 whatever the model is; hence NEARLY.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, set_seed

from sftcli.batch import IGNORE

Row = dict[str, list[int]]


def nearly(value: float) -> Any:
    """Equal but for what float32 loses: its steps are 1.2e-7 of a value, and some add up."""
    return pytest.approx(value, rel=2e-6)


def llama(vocab: int = 4096, context: int = 512, layers: int = 2, width: int = 32, **more: Any) -> Any:
    """A Llama with random weights, large enough that every token has another likelihood."""
    set_seed(0)
    options = {"initializer_range": 0.3, "num_attention_heads": 2, "pad_token_id": None, **more}
    config = LlamaConfig(
        vocab_size=vocab,
        max_position_embeddings=context,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        **options,
    )
    return LlamaForCausalLM(config).double()


def rows_of(out: Path) -> list[dict[str, Any]]:
    """The rows of a prepared folder of Parquet, in order."""
    files = sorted(out.glob("train-*.parquet"))
    assert files
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def losses(model: Any, ids: Sequence[int], labels: Sequence[int]) -> list[float]:
    """The negative log-likelihood of each labelled token but the first, with the row alone in its batch.

    `labels` are those of layout causal. The model gets ids and nothing else: no labels, mask or positions.
    """
    with torch.no_grad():
        likelihoods = model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
    assert all(label in (IGNORE, token) for token, label in zip(ids, labels, strict=True))
    return [-float(likelihoods[i - 1, ids[i]]) for i in range(1, len(ids)) if labels[i] != IGNORE]


def mean_loss(model: Any, rows: Sequence[dict[str, Any]]) -> float:
    """The mean over every labelled token of the rows, each row alone in its batch."""
    each = [loss for row in rows for loss in losses(model, row["input_ids"], row["labels"])]
    return sum(each) / len(each)
