"""Alpaca-form JSONL to masked token rows, prepared by axolotl's own `prepare_datasets`.

usage: PYTHON tests/bench/axolotl_prepare.py INPUT TOKENIZER_FOLDER OUT.parquet [--num-proc 2]

PYTHON is one that axolotl is installed for. It is given conversations, which it takes without a prompt
format of its own. Printed as JSON are the seconds that it took from file to rows, without its imports,
and the processor's seconds of all its processes.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ["AXOLOTL_IS_PREPROCESS"] = "1"

from axolotl.utils.data.sft import prepare_datasets
from axolotl.utils.dict import DictDefault
from transformers import AutoTokenizer

WHOLE = 1 << 20  # tokens: no row is left out for its length


def write_conversations(source: Path, out: Path) -> None:
    with source.open(encoding="utf-8") as lines, out.open("w", encoding="utf-8") as file:
        for line in lines:
            record = json.loads(line)
            user = record["instruction"]
            if record.get("input"):
                user += "\n\n" + record["input"]
            messages = [
                {"role": "user", "content": user},
                {"role": "assistant", "content": record["output"]},
            ]
            file.write(json.dumps({"messages": messages}) + "\n")


def settings(conversations: Path, folder: str, num_proc: int) -> DictDefault:
    dataset = {
        "path": str(conversations),
        "ds_type": "json",
        "split": "train",
        "type": "chat_template",
        "chat_template": "tokenizer_default",
        "field_messages": "messages",
        "message_property_mappings": {"role": "role", "content": "content"},
        "roles_to_train": ["assistant"],
        "train_on_eos": "turn",
    }
    return DictDefault(
        datasets=[dataset],
        chat_template="tokenizer_default",
        sequence_len=WHOLE,
        dataset_prepared_path=folder,
        dataset_num_proc=num_proc,
        shuffle_merged_datasets=False,
        is_preprocess=True,
        val_set_size=0,
        seed=0,
    )


def cpu_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input", type=Path)
    parser.add_argument("tokenizer")
    parser.add_argument("out")
    parser.add_argument("--num-proc", type=int, default=2)
    args = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer)
    # A folder of its own: a second run must do the work again, and not read the first one's.
    with tempfile.TemporaryDirectory() as folder:
        conversations = Path(folder, "conversations.jsonl")
        write_conversations(args.input, conversations)
        started, before = time.perf_counter(), cpu_seconds()
        rows, *_ = prepare_datasets(settings(conversations, folder, args.num_proc), tokenizer)
        took = {"seconds": time.perf_counter() - started, "cpu_seconds": cpu_seconds() - before}
        rows.select_columns(["input_ids", "labels"]).to_parquet(args.out)
    print("\n" + json.dumps(took), flush=True)


if __name__ == "__main__":  # its own processes import this file again
    main()
    sys.stdout.flush()
    os._exit(0)  # its telemetry would wait for a network
