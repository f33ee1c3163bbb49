"""What the benchmark prints: the machine and two tables, at most 80 columns wide."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from agree import Output
from contenders import Contender

LIBRARIES = ["fastokens", "tokenizers", "transformers", "datasets", "pyarrow"]
MB = 1_000_000


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
    widths = (8, 7, 7, 7, 8, 8)
    return f"{name:<35}" + "".join(
        f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)
    )


def output_table(everyone: list[Contender], outputs: dict[str, Output]) -> str:
    lines = [f"{'':<35}{'rows':>9}{'tokens':>13}{'trained':>13}{'MB':>8}"]
    for c in everyone:
        out = outputs[c.key]
        lines.append(
            f"{c.name:<35}{out.rows:>9,}{out.tokens:>13,}{out.trained:>13,}{out.size / MB:>8.1f}"
        )
    return "\n".join(lines)
