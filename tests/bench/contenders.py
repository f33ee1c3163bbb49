"""The commands that race, and what each of their runs took."""

import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

from measure import Usage

KEYS = ["llama3", "arrow", "alpaca", "by-hand"]


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
