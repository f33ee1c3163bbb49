"""Pack the same rows with sftcli and with TRL's `pack_dataset`: how full the rows get, and how long it takes.

    python tests/bench/packing.py [FILE...] [--tokenizer FOLDER] [--length N,M]

Each FILE is prepared once, unpacked. Both packers then start from its rows in memory and end with Arrow
columns in memory. TRL packs what `datasets` hands it at a time, which is 1,000 rows unless told otherwise;
so it is asked a second time with all rows at once. It needs trl and datasets, and no torch.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from corpus import built_corpus, shared_folder

from sftcli.batch import IGNORE, Rows
from sftcli.config import Config
from sftcli.pack import LeftOut, packed
from sftcli.pipeline import prepare

RUNS = 3


@dataclass(frozen=True)
class Result:
    """The tokens of each packed row, the lengths of the rows that went in, and the fastest run."""

    rows: list[int]
    documents: Counter[int]
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="JSONL; none: a corpus is built")
    parser.add_argument("--tokenizer", metavar="FOLDER")
    parser.add_argument("--length", default="2048,4096", metavar="N,...")
    args = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    tokenizer = args.tokenizer or str(shared_folder() / "tokenizers" / "llama3")
    print(f"{'':<26}{'length':>7}{'rows in':>9}{'rows':>7}{'fill':>9}{'seconds':>9}")
    same = True
    for name in args.files or [str(built_corpus())]:
        with tempfile.TemporaryDirectory(prefix="sftcli-bench-") as folder:
            table = unpacked(name, tokenizer, Path(folder))
        for length in map(int, args.length.split(",")):
            fitting = table.filter(pa.compute.less_equal(pa.compute.list_value_length(table[0]), length))
            results = {
                "sftcli": best(partial(by_sftcli, fitting, length)),
                "TRL": best(partial(by_trl, fitting, length, 1000)),
                "TRL, all rows at once": best(partial(by_trl, fitting, length, None)),
            }
            tokens = sum(results["sftcli"].rows)
            print(f"\n{Path(name).name}, {tokens:,} tokens: {-(-tokens // length):,} rows or more")
            for who, result in results.items():
                fill = sum(result.rows) / (len(result.rows) * length)
                cells = (
                    f"{length:>7,}{len(fitting):>9,}{len(result.rows):>7,}{fill:>9.2%}{result.seconds:>9.2f}"
                )
                print(f"  {who:<24}{cells}")
                same &= result.documents == results["sftcli"].documents
    if not same:
        print("the packers packed other rows: the figures do not compare")
    return 0 if same else 1


def unpacked(file: str, tokenizer: str, folder: Path) -> pa.Table:
    """The ids and labels of the file's rows."""
    out = folder / "out"
    config = Config(inputs=[file], output=str(out), tokenizer=tokenizer, template="llama3", on_error="skip")
    prepare(config)
    tables = [
        pq.read_table(shard, columns=["input_ids", "labels"]) for shard in sorted(out.glob("*.parquet"))
    ]
    return pa.concat_tables(tables).combine_chunks()


def by_sftcli(table: pa.Table, length: int) -> Iterator[pa.Table]:
    ids = table["input_ids"].chunk(0)
    labels = table["labels"].chunk(0)
    offsets = ids.offsets.to_numpy().astype(np.int64)
    rows = Rows(
        ids=ids.values.to_numpy(),
        trained=labels.values.to_numpy() != IGNORE,
        offsets=offsets,
        documents=np.diff(offsets),
        document_offsets=np.arange(len(offsets)),
    )
    taken: list[Rows] = []
    with packed("bfd", length, taken.append, LeftOut()) as add:
        add(rows)
    for part in taken:
        offsets = pa.array(part.offsets.astype(np.int32))
        yield pa.table(
            {
                "input_ids": pa.ListArray.from_arrays(offsets, part.ids),
                "labels": pa.ListArray.from_arrays(offsets, np.where(part.trained, part.ids, IGNORE)),
                "seq_lengths": pa.ListArray.from_arrays(
                    pa.array(part.document_offsets.astype(np.int32)), part.documents
                ),
            }
        )


def by_trl(table: pa.Table, length: int, at_a_time: int | None) -> Iterator[pa.Table]:
    from datasets import Dataset
    from trl.data_utils import pack_dataset

    options = {"batch_size": at_a_time, "keep_in_memory": True, "load_from_cache_file": False}
    yield pack_dataset(Dataset(table), length, "bfd", options).with_format("arrow")[:]


def best(pack: Callable[[], Iterator[pa.Table]]) -> Result:
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        tables = list(pack())
        seconds.append(time.perf_counter() - started)
    rows = [
        length for table in tables for length in pa.compute.list_value_length(table["input_ids"]).to_pylist()
    ]
    documents = Counter(
        length for table in tables for one in table["seq_lengths"].to_pylist() for length in one
    )
    return Result(rows, documents, min(seconds))


if __name__ == "__main__":
    sys.exit(main())
