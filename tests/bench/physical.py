"""What no preparation can do without, alone: encoding the rendered texts, or writing the ready columns.

    python tests/bench/physical.py encode CORPUS TOKENIZER TEMPLATE [--one-core]
    python tests/bench/physical.py write FORMAT ARROW_FOLDER OUT

Printed as JSON are the seconds and the processor's seconds of that part alone. Texts are rendered, and
columns brought into memory, between the measurements.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from sftcli.config import Config
from sftcli.write import open_shard


@dataclass
class Clock:
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Adds what the block takes, in all threads."""
        started, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - started
        self.cpu_seconds += time.process_time() - cpu


def encode(corpus: str, tokenizer: str, template: str) -> Clock:
    """fastokens on the texts of the rendered records, block after block as in a run."""
    from sftcli.blocks import render_block
    from sftcli.budget import Budget
    from sftcli.fastload import begin_loading
    from sftcli.report import SplitReport
    from sftcli.run import Run
    from sftcli.threads import bulk_work

    run = Run(Config(inputs=[corpus], tokenizer=tokenizer, template=template, record_format="alpaca"))
    fast = begin_loading(run.job.tokenizer.json).result()
    clock, report = Clock(), SplitReport()
    with bulk_work() as collect:
        for split in run.splits:
            for block in run.blocks(split):
                rows, lines = render_block(block, run, report, Budget())
                texts = list(run.engines.builder.build(rows, lines).texts)
                with clock.running():
                    fast.encode_batch_flat(texts, split_special_tokens=True)
                collect()
    return clock


@dataclass(frozen=True)
class ReadyLayout:
    """Stands where a Layout makes columns of rows; these are columns already."""

    schema: pa.Schema

    def batches(self, ready: pa.RecordBatch) -> list[pa.RecordBatch]:
        return [ready]


def write(format_: str, folder: str, out: str) -> Clock:
    """One shard with sftcli's settings, of the columns that a run has written as Arrow streams."""
    shards = sorted(Path(folder).rglob("*.arrow"))
    layout: Any = ReadyLayout(next(ready_columns(shards)).schema)
    codec = Config(inputs=[], tokenizer="demo", format=format_).codec
    clock = Clock()
    with ExitStack() as shard:
        put: Any = shard.enter_context(open_shard(Path(out), layout, format_, codec))
        for columns in ready_columns(shards):
            with clock.running():
                put(columns)
        with clock.running():
            shard.close()
    return clock


def ready_columns(shards: list[Path]) -> Iterator[pa.RecordBatch]:
    for shard in shards:
        # Read, and not mapped: reading it from the disk is no part of writing.
        with pa.OSFile(str(shard)) as source, pa.ipc.open_stream(source) as stream:
            yield from stream


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=["encode", "write"])
    parser.add_argument("names", nargs=3)
    parser.add_argument("--one-core", action="store_true")
    args = parser.parse_args()
    if args.one_core:
        # Before anything is loaded: fastokens has as many threads as it finds processors.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    clock = {"encode": encode, "write": write}[args.part](*args.names)
    print("\n" + json.dumps({"seconds": clock.seconds, "cpu_seconds": clock.cpu_seconds}))


if __name__ == "__main__":
    main()
