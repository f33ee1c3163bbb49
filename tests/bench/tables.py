"""What the benchmark says, in Markdown: the machine, the table, the processors' use, and the agreement."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from agree import Agreement, Output
from contenders import ONE_CORE_ENCODING, ROLE, Contender
from cores import bars, mean
from corpus import MB, Corpus

from sftcli.threads import cores

LIBRARIES = ["fastokens", "tokenizers", "transformers", "datasets", "pyarrow", "trl", "torch"]
HEAD = ["", "processes", "seconds", "CPU s", "MB/s", "Mtok/s", "peak MB", "x hand", "x TRL", "x parts"]


@dataclass
class Race:
    """What came of the contenders on one corpus; `left_out` says why some are not among them."""

    corpus: Corpus
    everyone: list[Contender]
    records: int
    outputs: dict[str, Output] = field(default_factory=dict)
    agreements: dict[str, Agreement] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def of(self, key: str) -> Contender | None:
        return next((c for c in self.everyone if c.key == key and c.runs), None)

    def size_of(self, contender: Contender) -> int:
        """Bytes of plain input that it read."""
        return self.corpus.sample.stat().st_size if contender.input == "sample" else self.corpus.size

    def records_of(self, contender: Contender) -> int:
        return -(-self.records // self.corpus.step) if contender.input == "sample" else self.records

    def rate(self, contender: Contender) -> float:
        """Megabytes of plain input a second."""
        return self.size_of(contender) / MB / contender.seconds

    @property
    def rows_agree(self) -> bool:
        return all(
            self.outputs[c.key].rows == self.records_of(c) for c in self.everyone if c.key in self.outputs
        )

    @property
    def is_as_it_should_be(self) -> bool:
        unexplained = any(found.differing["unexplained"] for found in self.agreements.values())
        return self.rows_agree and not unexplained


def page(races: Sequence[Race], described: str, tokenizer: str, runs: int) -> str:
    """The whole result; `described` is the machine."""
    inputs = "; ".join(f"{race.corpus.name}: {race.records:,} records" for race in races)
    times = "One run" if runs == 1 else f"Median of {runs} runs"
    lines = [f"{described}.", "", f"Tokenizer {tokenizer}. {inputs}. {times}.", ""]
    lines += [row(HEAD), row(["---", *["---:"] * (len(HEAD) - 1)])]
    for race in races:
        lines += table_rows(race)
    for race in races:
        lines += ["", f"**{race.corpus.name}**", "", *core_lines(race), *verdict(race)]
        lines += [f"- left out: {why}" for why in race.left_out]
    return "\n".join(lines) + "\n"


def table_rows(race: Race) -> list[str]:
    lines = [row([f"**{race.corpus.name}**", *[""] * (len(HEAD) - 1)])]
    baselines = race.of("by-hand"), race.of("trl")
    tokens = race.outputs[ROLE].tokens if ROLE in race.outputs else 0
    for c in race.everyone:
        if not c.runs:
            continue
        name = c.name + (f" ({race.size_of(c) / MB:.0f} MB of it)" if c.input == "sample" else "")
        output = race.outputs.get(c.key)
        rate = (output.tokens if output else tokens) / 1e6 / c.seconds
        cells = [str(c.processes), f"{c.seconds:.2f}", f"{c.cpu_seconds:.2f}", f"{race.rate(c):.1f}"]
        cells += [f"{rate:.2f}", f"{c.peak_bytes / MB:.0f}" if output else ""]
        for baseline in baselines:
            cells.append(f"{race.rate(c) / race.rate(baseline):.1f}" if baseline and output else "")
        lines.append(row([name, *cells, over_the_parts(race, c)]))
    return lines


def over_the_parts(race: Race, contender: Contender) -> str:
    """Wall time over what encoding and writing alone would take with all processors at work."""
    encoding, writing = race.of(ONE_CORE_ENCODING), race.of(f"write-{contender.writes}")
    if not (contender.is_ours and encoding and writing) or contender.other_rows:
        return ""
    least = (encoding.cpu_seconds + writing.cpu_seconds) / cores()
    return f"{contender.seconds / least:.2f}"


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def core_lines(race: Race) -> list[str]:
    """How busy each processor was through the median run of the base case."""
    base = race.of(ROLE)
    if base is None or not any(base.median_run.cores.values()):
        return []
    run = base.median_run
    whole = mean([share for shares in run.cores.values() for share in shares])
    own = run.cpu_seconds / run.seconds / cores()
    told = f"{base.name}, {run.seconds:.1f} s, {base.processes} of its processes"
    lines = ["```", told, f"all cores  {whole:4.0%} busy, {own:.0%} with this run"]
    lines += [
        f"core {core:<5} {mean(shares):4.0%}  {bars(shares)}" for core, shares in sorted(run.cores.items())
    ]
    return [*lines, "```", ""]


def verdict(race: Race) -> list[str]:
    """Do the outputs say the same?"""
    if not race.rows_agree:
        counts = {key: output.rows for key, output in race.outputs.items()}
        return [f"- ROWS DIFFER: {race.records:,} records were read, {counts} were written"]
    lines = ["- each wrote one row for each of its records"]
    alike: dict[str, list[str]] = {}
    for key, found in race.agreements.items():
        alike.setdefault(said_of(found, race.outputs[key].rows), []).append(key)
    return lines + [f"- {', '.join(keys)}: {said}" for said, keys in alike.items()]


def said_of(found: Agreement, rows: int) -> str:
    if not found.differing:
        return f"all {rows:,} rows equal those made by hand, ids and labels"
    reasons = [f"  - {count:,} differ: {reason}" for reason, count in found.differing.items()]
    equal = f"{found.equal:,} of {rows:,} rows equal those made by hand, ids and labels"
    return "\n".join([equal, *reasons, f"  - for example {found.first}"])


def machine(libraries: Sequence[str]) -> str:
    """The processor, the cores this process may use, the load, Python and the libraries."""
    parts = [processor(), f"{cores()} cores", f"load {os.getloadavg()[0]:.1f} at the start"]
    parts += [platform.system(), f"Python {platform.python_version()}"]
    for name in libraries:
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
