"""Time `sftcli prepare` against the script that people write by hand, as whole processes.

usage: python tests/bench/bench.py [--corpus FILE] [--tokenizer FOLDER] [--runs N] [--json FILE]
"""

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import textwrap
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path

from agree import Agreement, Output, compare, read_output
from corpus import CHECKOUT, built_corpus, shared_folder
from measure import CommandFailed, Usage, run

KEYS = ["llama3", "arrow", "alpaca", "by-hand"]
LIBRARIES = ["fastokens", "tokenizers", "transformers", "datasets", "pyarrow"]
SAMPLE = 200  # rows compared one by one; also the records of the untimed warm-up
MB = 1_000_000


@dataclass
class Contender:
    key: str
    name: str
    argv: list[str]  # {corpus}, {tokenizer} and {out} are filled in for each run
    out: str
    runs: list[Usage] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return statistics.median(usage.seconds for usage in self.runs)

    @property
    def cpu_seconds(self) -> float:
        return statistics.median(usage.cpu_seconds for usage in self.runs)

    @property
    def peak_bytes(self) -> int:
        return max(usage.peak_bytes for usage in self.runs)


def contenders(skip: list[str]) -> list[Contender]:
    prepare = [sys.executable, "-m", "sftcli", "prepare", "{corpus}", "-t", "{tokenizer}"]
    prepare += ["--record-format", "alpaca", "-o", "{out}", "--quiet", "--template"]
    by_hand = [sys.executable, str(Path(__file__).with_name("by_hand.py"))]
    by_hand += ["{corpus}", "{tokenizer}", "{out}", "--num-proc", "2"]
    everyone = [
        Contender("llama3", "sftcli, llama3 template, Parquet", [*prepare, "llama3"], "llama3"),
        Contender(
            "arrow",
            "sftcli, llama3 template, Arrow",
            [*prepare, "llama3", "--format", "arrow"],
            "arrow",
        ),
        Contender("alpaca", "sftcli, alpaca template, Parquet", [*prepare, "alpaca"], "alpaca"),
        Contender("by-hand", "by hand (datasets.map, 2 processes)", by_hand, "by-hand.parquet"),
    ]
    return [contender for contender in everyone if contender.key not in skip]


def race(everyone: list[Contender], corpus: Path, tokenizer: Path, runs: int, folder: Path) -> None:
    """Run the contenders in turn, so that a slow minute of the machine hits them all alike.

    The last run's outputs stay in `folder`. Run 0 is not timed: it takes the first records only, fills
    the file cache and compiles modules, and finds a wrong command before minutes have gone by.
    """
    first_records = folder / "first-records.jsonl"
    with corpus.open("rb") as file:
        first_records.write_bytes(b"".join(islice(file, SAMPLE)))
    # Nothing here needs the network, and waiting for it would be no one's speed.
    env = os.environ | {"HF_HUB_OFFLINE": "1"}
    outputs = folder / "outputs"
    for number in range(runs + 1):
        shutil.rmtree(outputs, ignore_errors=True)
        outputs.mkdir()
        for contender in everyone:
            words = {
                "corpus": first_records if number == 0 else corpus,
                "tokenizer": tokenizer,
                "out": outputs / contender.out,
            }
            argv = [arg.format_map(words) for arg in contender.argv]
            say(f"{f'run {number}' if number else 'warm-up'}: {contender.name}")
            try:
                usage = run(argv, cwd=CHECKOUT, env=env, log=folder / "log.txt")
            except CommandFailed as error:
                raise SystemExit(f"{contender.name} failed: {error}") from None
            if number > 0:
                contender.runs.append(usage)


def count_records(corpus: Path) -> int:
    with corpus.open("rb") as file:
        return sum(1 for line in file if line.strip())


def machine() -> str:
    """The processor, the cores this process may use, the load, Python and the libraries."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [processor(), f"{cores} cores", f"load {os.getloadavg()[0]:.1f} at the start"]
    parts += [platform.system(), f"Python {platform.python_version()}"]
    for name in LIBRARIES:
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts)


def processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def speed_table(everyone: list[Contender], outputs: dict[str, Output], size: int) -> str:
    by_hand = next((c.seconds for c in everyone if c.key == "by-hand"), None)
    lines = [speed_row("", "seconds", "CPU s", "MB/s", "Mtok/s", "peak MB", "faster")]
    for c in everyone:
        lines.append(
            speed_row(
                c.name,
                f"{c.seconds:.2f}",
                f"{c.cpu_seconds:.2f}",
                f"{size / MB / c.seconds:.1f}",
                f"{outputs[c.key].tokens / 1e6 / c.seconds:.2f}",
                f"{c.peak_bytes / MB:.0f}",
                f"{by_hand / c.seconds:.1f}x" if by_hand else "-",
            )
        )
    return "\n".join(lines)


def speed_row(name: str, *cells: str) -> str:
    return f"{name:<35}" + "".join(f"{cell:>{8 if i in (0, 4, 5) else 7}}" for i, cell in enumerate(cells))


def output_table(everyone: list[Contender], outputs: dict[str, Output]) -> str:
    lines = [f"{'':<35}{'rows':>9}{'tokens':>13}{'trained':>13}{'MB':>8}"]
    for c in everyone:
        out = outputs[c.key]
        lines.append(
            f"{c.name:<35}{out.rows:>9,}{out.tokens:>13,}{out.trained:>13,}{out.size / MB:>8.1f}"
        )
    return "\n".join(lines)
