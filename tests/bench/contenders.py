"""The commands that race on one corpus, and what each of their runs took."""

import math
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from corpus import CHECKOUT, Corpus
from measure import Usage

from sftcli.workers.count import WORTH_SHARING

MIB = 1 << 20
SHARD = 128 * MIB  # what `prepare` puts into one shard at most, where it is not told
LARGE = 100_000_000  # of more than so many bytes, what takes minutes is run once
HERE = Path(__file__).parent
TRL_NEEDS = "import torch, accelerate; from trl import SFTTrainer"
ROLE, ONE_CORE_ENCODING = "role", "encode"
# Those that may be left out; the others are needed for the figures of all.
KEYS = ["processes", "prompt", "jinja", "gz", "by-hand", "trl", "axolotl", "encode-all"]


class Axolotl(NamedTuple):
    python: Path  # one that it is installed for
    version: str


@dataclass
class Contender:
    """A command with {input}, {tokenizer}, {out} and {arrow} (what was written as Arrow) to fill in.

    `input` is the form of the corpus that it reads, and `writes` the format that it writes.
    Where `tells_seconds`, it prints JSON with the seconds that count. `rounds` bounds how often it runs,
    and `out` is where its rows are (none: it makes none). `other_rows` cannot equal the others'.
    """

    key: str
    name: str
    argv: list[str]
    processes: int
    out: str = ""
    input: str = "plain"
    other_rows: bool = False
    tells_seconds: bool = False
    rounds: int | None = None
    writes: str = "parquet"
    runs: list[Usage] = field(default_factory=list)

    @property
    def is_ours(self) -> bool:
        return "prepare" in self.argv

    @property
    def seconds(self) -> float:
        return statistics.median(usage.seconds for usage in self.runs)

    @property
    def cpu_seconds(self) -> float:
        return statistics.median(usage.cpu_seconds for usage in self.runs)

    @property
    def peak_bytes(self) -> int:
        return max(usage.peak_bytes for usage in self.runs)

    @property
    def median_run(self) -> Usage:
        return sorted(self.runs, key=lambda usage: usage.seconds)[len(self.runs) // 2]


def contenders(corpus: Corpus, template: str, processes: int, axolotl: Axolotl | None) -> list[Contender]:
    """Ours from one base case, each time with one thing changed; then the others, and the parts alone.

    The base case takes as many processes as `prepare` takes by itself.
    """
    base = processes if corpus.size >= WORTH_SHARING else 1
    other = processes if base == 1 else 1
    once = 1 if corpus.size > LARGE else None
    found = [
        ours(ROLE, f"{template} template, Parquet", corpus, template, base),
        ours("arrow", f"{template} template, Arrow", corpus, template, base, "--format", "arrow"),
        ours("prompt", "alpaca template, Parquet", corpus, "alpaca", base),
        ours("jinja", "chat template (Jinja), Parquet", corpus, "tokenizer", base),
        ours("gz", f"{template} template, Parquet, from .gz", corpus, template, 1),
        script("by-hand", "by hand: datasets.map", "by_hand.py", processes, once),
        script("trl", "TRL: SFTTrainer's preparation", "trl_prepare.py", processes, once),
        *parts(template, processes),
    ]
    if other != base:
        found.insert(1, ours("processes", f"{template} template, Parquet", corpus, template, other))
    if axolotl:
        found.insert(-4, by_axolotl(axolotl, processes))
    return found


def ours(key: str, name: str, corpus: Corpus, template: str, processes: int, *more: str) -> Contender:
    argv = [sys.executable, "-m", "sftcli", "prepare", "{input}", "-t", "{tokenizer}", "-o", "{out}"]
    argv += ["--record-format", "alpaca", "--template", template, "--quiet", "--num-proc", str(processes)]
    if processes > 1 and corpus.size < processes * SHARD:  # else there is no shard for each
        argv += ["--split-size", f"{math.ceil(corpus.size / processes / MIB)}MiB"]
    return Contender(
        key,
        f"sftcli, {name}",
        [*argv, *more],
        processes,
        out=key,
        input="gz" if key == "gz" else "plain",
        other_rows=template == "alpaca",
        writes="arrow" if "arrow" in more else "parquet",
    )


def script(key: str, name: str, file: str, processes: int, rounds: int | None) -> Contender:
    argv = [sys.executable, str(HERE / file), "{input}", "{tokenizer}", "{out}"]
    argv += ["--num-proc", str(processes)]
    return Contender(key, name, argv, processes, out=f"{key}.parquet", rounds=rounds)


def by_axolotl(axolotl: Axolotl, processes: int) -> Contender:
    name = f"axolotl {axolotl.version}: prepare_datasets"
    found = script("axolotl", name, "axolotl_prepare.py", processes, 1)
    found.argv[0] = str(axolotl.python)
    found.input, found.tells_seconds = "sample", True
    return found


def parts(template: str, processes: int) -> list[Contender]:
    command = [sys.executable, str(HERE / "physical.py")]
    encode = [*command, "encode", "{input}", "{tokenizer}", template]
    return [
        part(ONE_CORE_ENCODING, "fastokens on the rendered texts, one core", [*encode, "--one-core"], 1),
        part("encode-all", "fastokens on the rendered texts, all cores", encode, processes),
        part("write-parquet", "pyarrow: the ready columns to Parquet", writing(command, "parquet"), 1),
        part("write-arrow", "pyarrow: the ready columns to Arrow", writing(command, "arrow"), 1),
    ]


def writing(command: list[str], format_: str) -> list[str]:
    return [*command, "write", format_, "{arrow}", "{out}", "--one-core"]


def part(key: str, name: str, argv: list[str], cores: int) -> Contender:
    return Contender(key, name, argv, cores, tells_seconds=True)


def why_no_trl() -> str:
    """Why TRL's trainer cannot be imported here; empty where it can."""
    # Not in this process: torch would stay in memory while the others run.
    return why_not([sys.executable, "-c", TRL_NEEDS])


def installed_axolotl(readers: Path) -> tuple[Axolotl | None, str]:
    """The axolotl of a folder of environments, or why there is none."""
    python = readers / "axolotl" / "bin" / "python"
    if not python.exists():
        return None, f"not installed in {display(readers)}"
    if missing := why_not([str(python), "-c", "import axolotl.utils.data.sft"]):
        return None, missing
    asked = "from importlib.metadata import version; print(version('axolotl'))"
    said = subprocess.run([str(python), "-c", asked], capture_output=True, text=True, check=True)
    return Axolotl(python, said.stdout.strip()), ""


def why_not(argv: list[str]) -> str:
    tried = subprocess.run(argv, capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return ""
    return (tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"])[-1]


def display(path: Path) -> str:
    return str(path.relative_to(CHECKOUT)) if path.is_relative_to(CHECKOUT) else str(path)
