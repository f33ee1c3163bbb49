"""Alpaca-form JSONL to masked token rows, prepared by TRL's SFTTrainer.

usage: python tests/bench/trl_prepare.py INPUT TOKENIZER_FOLDER OUT.parquet [--num-proc 2]

TRL prepares its dataset when a trainer is made, so there is a model, as small as one can be. TRL
applies the chat template, tokenizes and masks; the two columns that training reads are written.
"""

import argparse
import tempfile
from typing import Any

from by_hand import to_messages
from datasets import load_dataset
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from trl import SFTConfig, SFTTrainer


def to_prompt_completion(record: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    messages = to_messages(record)
    return {"prompt": messages[:-1], "completion": messages[-1:]}


def tiny_model(tokenizer: Any) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


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
            to_prompt_completion, num_proc=args.num_proc, remove_columns=dataset.column_names
        )
        trainer = SFTTrainer(
            model=tiny_model(tokenizer),
            args=SFTConfig(
                output_dir=cache,
                dataset_num_proc=args.num_proc,
                max_length=None,
                packing=False,
                completion_only_loss=True,
                use_cpu=True,
                bf16=False,
                report_to="none",
            ),
            train_dataset=dataset,
            processing_class=tokenizer,
        )
        trainer.train_dataset.select_columns(["input_ids", "labels"]).to_parquet(args.out)


if __name__ == "__main__":
    main()
