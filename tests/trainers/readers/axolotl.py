"""Opens a folder with axolotl's own `prepare_datasets`: `axolotl.py DATASET SCRATCH SEQUENCE_LEN`.

Prints, as JSON, the rows that it would train on, and those that it would evaluate (null of a folder without
a validation split).
"""

import json
import os
import sys
from pathlib import Path

here = str(Path(__file__).parent)  # this file has the package's name
sys.path[:] = [folder for folder in sys.path if folder != here]

from axolotl.utils.data.sft import prepare_datasets  # noqa: E402
from axolotl.utils.dict import DictDefault  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402


def main(dataset: str, scratch: str, sequence_len: str) -> None:
    named = {"path": dataset, "ds_type": "parquet", "type": ""}
    splits = any(Path(dataset).glob("validation-*.parquet"))
    config = DictDefault(
        datasets=[{**named, "split": "train"} if splits else named],
        test_datasets=[{**named, "split": "validation"}] if splits else None,
        sequence_len=int(sequence_len),
        dataset_prepared_path=scratch,
        dataset_num_proc=1,
        num_epochs=1,
        micro_batch_size=4,
        gradient_accumulation_steps=1,
        batch_size=4,
        world_size=1,
        val_set_size=0,
        seed=0,
    )
    rows, held, _, _ = prepare_datasets(config, AutoTokenizer.from_pretrained(f"{dataset}/tokenizer"))
    found = {"train": rows.to_list(), "validation": held and held.to_list()}
    print("\n" + json.dumps(found), flush=True)


if __name__ == "__main__":  # its own processes import this file again
    main(*sys.argv[1:])
    os._exit(0)  # its telemetry would wait for a network
