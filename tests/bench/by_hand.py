"""Alpaca-form JSONL to masked token rows, the way it is usually written by hand: the baseline.

usage: python tests/bench/by_hand.py INPUT TOKENIZER_FOLDER OUT.parquet [--num-proc 2]
"""

import argparse
import tempfile
from typing import Any

from datasets import load_dataset
from transformers import AutoTokenizer


def to_messages(record: dict[str, Any]) -> list[dict[str, str]]:
    user = record["instruction"]
    if record.get("input"):
        user += "\n\n" + record["input"]
    return [
        {"role": "user", "content": user},
        {"role": "assistant", "content": record["output"]},
    ]


def tokenize(record: dict[str, Any], tokenizer: Any) -> dict[str, list[int]]:
    messages = to_messages(record)
    ids = tokenizer.apply_chat_template(messages, return_dict=False)
    prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=False)
    return {
        "input_ids": ids,
        "attention_mask": [1] * len(ids),
        "labels": [-100] * len(prompt) + ids[len(prompt) :],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input")
    parser.add_argument("tokenizer")
    parser.add_argument("out")
    parser.add_argument("--num-proc", type=int, default=2)
    args = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer)
    # A cache of its own: a second run must do the work again, and not read the first one's.
    with tempfile.TemporaryDirectory() as cache:
        dataset = load_dataset("json", data_files=args.input, split="train", cache_dir=cache)
        dataset = dataset.map(
            tokenize,
            fn_kwargs={"tokenizer": tokenizer},
            num_proc=args.num_proc,
            remove_columns=dataset.column_names,
        )
        dataset.to_parquet(args.out)


if __name__ == "__main__":
    main()
