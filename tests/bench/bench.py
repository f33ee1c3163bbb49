"""Time `sftcli prepare` against the script that people write by hand, as whole processes.

TRL's preparation of the same records joins where torch, accelerate and trl can be imported.
The corpus is --corpus, $CORPUS, or built; the tokenizer --tokenizer, $TOKENIZER, or the Llama-3
one of the shared folder ($SFTCLI_SHARED, or `shared` beside the checkout).
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import textwrap
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from agree import Agreement, Output, compare, read_output
from contenders import KEYS, Contender, contenders, why_no_trl
from corpus import CHECKOUT, built_corpus, shared_folder
from measure import CommandFailedError, run
from tables import LIBRARIES, MB, TRL_LIBRARIES, machine, output_table, speed_table

WARM_UP = 200  # records of the untimed first round


def main() -> int:
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leaves through `run`, which cleans up
    corpus = Path(args.corpus).resolve() if args.corpus else built_corpus()
    tokenizer = Path(args.tokenizer).resolve()
    if "trl" not in args.skip and (missing := why_no_trl()):
        say(f"left out: TRL SFTTrainer preparation ({missing})")
        args.skip.append("trl")
    everyone = contenders(args.skip)
    if not everyone:
        raise SystemExit("nothing to run")
    trl_ran = "trl" not in args.skip
    libraries = LIBRARIES + TRL_LIBRARIES if trl_ran else LIBRARIES
    described = machine(libraries)  # before the runs, for the load
    records = count_records(corpus)
    with tempfile.TemporaryDirectory(prefix="sftcli-bench-") as folder:
        race(everyone, corpus, tokenizer, args.runs, Path(folder))
        outputs = {c.key: read_output(Path(folder, "outputs", c.out)) for c in everyone}
        rows_agree = all(output.rows == records for output in outputs.values())
        agreements: dict[str, Agreement] = {}
        if rows_agree and "by-hand" in outputs:
            agreements = {
                c.key: compare(corpus, tokenizer, outputs[c.key], outputs["by-hand"])
                for c in everyone
                if c.key != "by-hand" and not c.other_layout
            }

    size = corpus.stat().st_size
    print(textwrap.fill(described, 80))
    print(f"{corpus.name}, {size / MB:.1f} MB, {records:,} records; tokenizer {tokenizer.name}")
    print(f"median of {args.runs} runs, highest peak memory of the process tree; MB = 10^6 bytes;")
    print("x: times faster than by hand, than TRL\n" if trl_ran else "x: times faster than by hand\n")
    print(speed_table(everyone, outputs, size) + "\n")
    print(output_table(everyone, outputs) + "\n")
    print(verdict(records, rows_agree, agreements))
    if args.json:
        report = {"machine": described, "corpus": corpus.name, "bytes": size, "records": records}
        report |= {"contenders": [as_json(c, outputs[c.key]) for c in everyone]}
        report |= {"agreements": {key: asdict(found) for key, found in agreements.items()}}
        Path(args.json).write_text(json.dumps(report, indent=2) + "\n")
    unexplained = any(found.differing["unexplained"] for found in agreements.values())
    return 1 if not rows_agree or unexplained else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", metavar="FILE", default=os.environ.get("CORPUS"))
    parser.add_argument("--tokenizer", metavar="FOLDER", default=os.environ.get("TOKENIZER"))
    parser.add_argument("--runs", metavar="N", type=int, default=3, help="timed rounds (3)")
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
        first_records.write_bytes(b"".join(islice(file, WARM_UP)))
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
            except CommandFailedError as error:
                raise SystemExit(f"{contender.name} failed: {error}") from None
            if number > 0:
                contender.runs.append(usage)


def count_records(corpus: Path) -> int:
    with corpus.open("rb") as file:
        return sum(1 for line in file if line.strip())


def verdict(records: int, rows_agree: bool, agreements: dict[str, Agreement]) -> str:
    """One paragraph: do the outputs say the same?"""
    if not rows_agree:
        return f"ROWS DIFFER: {records:,} records were read, see the table; nothing was compared"
    lines = ["all wrote one row for each record"]
    for key, found in agreements.items():
        lines.append(f"{key}: {found.equal:,} of {records:,} rows equal by hand, ids and labels")
        lines += [f"  {count:,} differ: {reason}" for reason, count in found.differing.items()]
        if found.first:
            lines.append(f"  for example {found.first}")
    return "\n".join(lines)


def as_json(contender: Contender, output: Output) -> dict[str, object]:
    sums = {name: getattr(output, name) for name in ("rows", "tokens", "trained", "size")}
    runs = [asdict(usage) for usage in contender.runs]
    return {"key": contender.key, "name": contender.name, "runs": runs, **sums}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
