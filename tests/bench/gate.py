"""`sftcli validate` beside a loop over json.loads with the same checks, in one run.

python tests/bench/gate.py [--corpus FILE] [--times N]. The corpus is in Alpaca form.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from corpus import CHECKOUT, built_corpus
from measure import Usage, run

MB = 1_000_000
LOOP = Path(__file__).with_name("by_loop.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, help="JSON lines with instruction, input and output")
    parser.add_argument("--times", type=int, default=5, help="how often; the quickest counts")
    asked = parser.parse_args()
    path = (asked.corpus or built_corpus()).resolve()
    validate = [sys.executable, "-m", "sftcli", "validate", str(path), "--format", "json"]
    families = ["--select", "J,R,C"]
    contenders = {
        "sftcli validate, J R C": [*validate, *families],
        "sftcli validate, J R C, one process": [*validate, *families, "--num-proc", "1"],
        "sftcli validate, J R C D": validate,
        "loop over json.loads, J R C": [sys.executable, str(LOOP), str(path)],
    }
    size = path.stat().st_size
    print(f"{size / MB:.1f} MB; whole processes, the quickest of {asked.times}\n")
    print(f"{'':<38}{'seconds':>9}{'CPU s':>8}{'MB/s':>8}{'peak MB':>9}")
    counted = {}
    for name, argv in contenders.items():
        usage, counted[name] = measured(argv, asked.times)
        row = f"{usage.seconds:>9.2f}{usage.cpu_seconds:>8.2f}{size / MB / usage.seconds:>8.1f}"
        print(f"{name:<38}{row}{usage.peak_bytes / MB:>9.0f}")
    quick, slow = counted["sftcli validate, J R C"], counted["loop over json.loads, J R C"]
    # Its imports would count as the memory of every process that is begun after them.
    from tables import machine

    print(f"\n{machine(['msgspec', 'ahocorasick-rs', 'ftfy'])}")
    print(f"found by both: {slow}" if quick == slow else f"They differ: {quick} and {slow}")
    sys.exit(quick != slow)


def measured(argv: list[str], times: int) -> tuple[Usage, dict[str, int]]:
    """The quickest of some runs, and the counts by rule that it printed."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        usage = min(
            (run(argv, Path(folder), environment, log) for _ in range(times)), key=lambda one: one.seconds
        )
        printed = json.loads(log.read_text())
    return usage, dict(sorted(printed.get("counts", printed).items()))


if __name__ == "__main__":
    main()
