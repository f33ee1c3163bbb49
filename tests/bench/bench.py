"""Time `sftcli prepare` against the script that people write by hand, as whole processes.

The corpus is --corpus, $CORPUS, or built; the tokenizer --tokenizer, $TOKENIZER, or the Llama-3
one of the shared folder ($SFTCLI_SHARED, or `shared` beside the checkout).
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import textwrap
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from agree import Agreement, Output, compare, read_output
from contenders import KEYS, Contender, contenders
from corpus import CHECKOUT, built_corpus, shared_folder
from measure import CommandFailed, run
from tables import MB, machine, output_table, speed_table

SAMPLE = 200  # rows compared one by one; also the records of the untimed warm-up


def main() -> int:
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leaves through `run`, which cleans up
    corpus = Path(args.corpus).resolve() if args.corpus else built_corpus()
    tokenizer = Path(args.tokenizer).resolve()
    everyone = contenders(args.skip)
    described = machine()  # before the runs, for the load
    records = count_records(corpus)
    sample = random.Random(0).sample(range(records), min(SAMPLE, records))
    with tempfile.TemporaryDirectory(prefix="sftcli-bench-") as folder:
        race(everyone, corpus, tokenizer, args.runs, Path(folder))
        outputs = {c.key: read_output(Path(folder, "outputs", c.out), sample) for c in everyone}
    rows_agree = all(output.rows == records for output in outputs.values())
    agreement = None
    if rows_agree and {"llama3", "by-hand"} <= outputs.keys():
        agreement = compare(corpus, tokenizer, outputs["llama3"], outputs["by-hand"])

    size = corpus.stat().st_size
    print(textwrap.fill(described, 80))
    print(f"{corpus.name}, {size / MB:.1f} MB, {records:,} records; tokenizer {tokenizer.name}")
    print(f"median of {args.runs} runs, highest peak memory of the process tree; MB = 10^6 bytes\n")
    print(speed_table(everyone, outputs, size) + "\n")
    print(output_table(everyone, outputs) + "\n")
    print(verdict(records, rows_agree, agreement))
    if args.json:
        report = {"machine": described, "corpus": corpus.name, "bytes": size, "records": records}
        report |= {"contenders": [as_json(c, outputs[c.key]) for c in everyone]}
        report |= {"agreement": asdict(agreement) if agreement else None}
        Path(args.json).write_text(json.dumps(report, indent=2) + "\n")
    return 1 if not rows_agree or (agreement and agreement.differing["unexplained"]) else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", metavar="FILE", default=os.environ.get("CORPUS"))
    parser.add_argument("--tokenizer", metavar="FOLDER", default=os.environ.get("TOKENIZER"))
    parser.add_argument("--runs", metavar="N", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="write every run's figures here")
    parser.add_argument("--skip", choices=KEYS, action="append", default=[])
    args = parser.parse_args()
    args.tokenizer = args.tokenizer or str(shared_folder() / "tokenizers" / "llama3")
    if not Path(args.tokenizer, "tokenizer.json").is_file():
        parser.error(f"no tokenizer.json in {args.tokenizer}: name a folder with --tokenizer")
    if args.corpus and not Path(args.corpus).is_file():
        parser.error(f"no corpus at {args.corpus}: leave --corpus out to have one built")
    if args.runs < 1 or set(args.skip) == set(KEYS):
        parser.error("nothing to run")
    return args


def race(everyone: list[Contender], corpus: Path, tokenizer: Path, runs: int, folder: Path) -> None:
    """Run the contenders in turn, so that a slow minute of the machine hits them all alike.

    The last run's outputs stay in `folder`. Run 0 is not timed: it takes the first records only,
    fills the file cache, compiles modules, and finds a wrong command before minutes have gone by.
    """
    first_records = folder / "first-records.jsonl"
    with corpus.open("rb") as file:
        first_records.write_bytes(b"".join(islice(file, SAMPLE)))
    # Nothing here needs the network, and waiting for it would be no one's speed. Temporary files
    # go with the folder, also those of a contender that was killed.
    env = os.environ | {"HF_HUB_OFFLINE": "1", "TMPDIR": str(folder)}
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


def verdict(records: int, rows_agree: bool, agreement: Agreement | None) -> str:
    """One paragraph: do the outputs say the same?"""
    if not rows_agree:
        return f"ROWS DIFFER: {records:,} records were read, see the table; nothing was compared"
    if agreement is None:
        return "all wrote one row for each record"
    compared = agreement.equal + agreement.differing.total()
    lines = ["all wrote one row for each record"]
    lines.append(
        f"{agreement.equal} of {compared} sampled rows: llama3 equals by hand, ids and labels"
    )
    lines += [f"{count} differ: {reason}" for reason, count in agreement.differing.items()]
    if agreement.first:
        lines.append(f"the first: {agreement.first}")
    return "\n".join(lines)


def as_json(contender: Contender, output: Output) -> dict[str, object]:
    sums = {name: getattr(output, name) for name in ("rows", "tokens", "trained", "size")}
    runs = [asdict(usage) for usage in contender.runs]
    return {"key": contender.key, "name": contender.name, "runs": runs, **sums}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
