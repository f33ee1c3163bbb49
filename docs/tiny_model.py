"""A small language model for the pictures of `--loss`, trained for a minute on bundled problems.

It has not seen the first ten of them, so that its losses there are those of new text.
"""

from pathlib import Path
from typing import Any

from sftcli.config import load_config
from sftcli.pipeline import prepare

HELD_OUT = 10
EPOCHS = 10
BATCH = 8


def train(folder: Path, problems: Path, template: Path) -> None:
    """Save a Llama of two layers for the tokenizer `demo`. Needs torch."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=4096,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    rows = _rows(folder.with_name("tiny-model-data"), problems, template)
    steps = EPOCHS * (len(rows) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(rows)).tolist()
        for first in range(0, len(rows) - BATCH + 1, BATCH):
            loss = model(**_batch([rows[place] for place in order[first : first + BATCH]])).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.save_pretrained(folder)


def _rows(out: Path, problems: Path, template: Path) -> list[list[int]]:
    import pyarrow.parquet as pq

    values = {"tokenizer": "demo", "inputs": [str(problems)], "output": str(out), "template": str(template)}
    prepare(load_config(None, values), overwrite=True)
    rows: list[list[int]] = pq.read_table(out / "train-00000-of-00001.parquet")["input_ids"].to_pylist()
    return rows[HELD_OUT:]


def _batch(rows: list[list[int]]) -> dict[str, Any]:
    """The whole rows are trained, questions too: there is little enough text."""
    import torch

    size = max(map(len, rows))
    ids = torch.tensor([row + [0] * (size - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (size - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}
