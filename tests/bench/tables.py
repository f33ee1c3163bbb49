"""What the benchmark prints: the machine and two tables, at most 88 columns wide."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from agree import Output
from contenders import Contender

LIBRARIES = ["fastokens", "tokenizers", "transformers", "datasets", "pyarrow"]
TRL_LIBRARIES = ["trl", "torch"]
WIDTHS = (8, 7, 7, 7, 8, 8, 8)
MB = 1_000_000


def machine(libraries: list[str]) -> str:
    """The processor, the cores this process may use, the load, Python and the libraries."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [processor(), f"{cores} cores", f"load {os.getloadavg()[0]:.1f} at the start"]
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


def speed_table(everyone: list[Contender], outputs: dict[str, Output], size: int) -> str:
    """One row for each contender; its last columns are times faster than the baselines that ran."""
    baselines = [c for c in everyone if c.key in ("by-hand", "trl")]
    versus = ["x hand" if c.key == "by-hand" else "x TRL" for c in baselines]
    lines = [speed_row("", "seconds", "CPU s", "MB/s", "Mtok/s", "peak MB", *versus)]
    for c in everyone:
        cells = [
            f"{c.seconds:.2f}",
            f"{c.cpu_seconds:.2f}",
            f"{size / MB / c.seconds:.1f}",
            f"{outputs[c.key].tokens / 1e6 / c.seconds:.2f}",
            f"{c.peak_bytes / MB:.0f}",
        ]
        cells += [f"{baseline.seconds / c.seconds:.1f}x" for baseline in baselines]
        lines.append(speed_row(c.name, *cells))
    return "\n".join(lines)


def speed_row(name: str, *cells: str) -> str:
    # Without a baseline there are fewer cells than widths.
    return f"{name:<35}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=False))


def output_table(everyone: list[Contender], outputs: dict[str, Output]) -> str:
    lines = [f"{'':<35}{'rows':>9}{'tokens':>13}{'trained':>13}{'MB':>8}"]
    for c in everyone:
        out = outputs[c.key]
        lines.append(f"{c.name:<35}{out.rows:>9,}{out.tokens:>13,}{out.trained:>13,}{out.size / MB:>8.1f}")
    return "\n".join(lines)
