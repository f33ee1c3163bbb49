"""The commands that race, and what each of their runs took."""

import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from measure import Usage

KEYS = ["llama3", "arrow", "alpaca", "jinja", "by-hand", "trl"]
TRL_NEEDS = "import torch, accelerate; from trl import SFTTrainer"


@dataclass
class Contender:
    key: str
    name: str
    argv: list[str]  # {corpus}, {tokenizer} and {out} are filled in for each run
    out: str
    other_layout: bool = False  # its rows cannot equal the others'
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
    arrow = [*prepare, "llama3", "--format", "arrow"]
    everyone = [
        Contender("llama3", "sftcli, llama3 template, Parquet", [*prepare, "llama3"], "llama3"),
        Contender("arrow", "sftcli, llama3 template, Arrow", arrow, "arrow"),
        Contender("alpaca", "sftcli, alpaca template, Parquet", [*prepare, "alpaca"], "alpaca", True),
        Contender("jinja", "sftcli, chat template (Jinja)", [*prepare, "tokenizer"], "jinja"),
        Contender("by-hand", "by hand (datasets.map, 2 processes)", script("by_hand.py"), "by-hand.parquet"),
        Contender("trl", "TRL SFTTrainer preparation", script("trl_prepare.py"), "trl.parquet"),
    ]
    return [contender for contender in everyone if contender.key not in skip]


def script(name: str) -> list[str]:
    path = Path(__file__).with_name(name)
    return [sys.executable, str(path), "{corpus}", "{tokenizer}", "{out}", "--num-proc", "2"]


def why_no_trl() -> str:
    """Why TRL's trainer cannot be imported here; empty where it can."""
    # Not in this process: torch would stay in memory while the others run.
    tried = subprocess.run([sys.executable, "-c", TRL_NEEDS], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return ""
    return (tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"])[-1]
