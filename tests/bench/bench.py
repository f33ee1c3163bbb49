"""Time `sftcli prepare`, what people use instead, and the parts that none can do without; whole processes.

The corpus is --corpus, $CORPUS, or built, in the sizes of --megabytes; the tokenizer --tokenizer,
$TOKENIZER, the Llama-3 one of the shared folder ($SFTCLI_SHARED, or `shared` beside the checkout), or the
bundled one. TRL's preparation joins where torch, accelerate and trl can be imported, and axolotl's where
--readers holds it. The result is one page of Markdown, in --output.
"""

import argparse
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from agree import Agreement, Output, compare, read_output
from contenders import KEYS, Contender, contenders, installed_axolotl, why_no_trl
from corpus import CHECKOUT, Corpus, built_corpus, of_size, shared_folder
from measure import CommandFailedError, Usage, run
from tables import LIBRARIES, Race, machine, page

from sftcli.threads import cores

STARTED = time.monotonic()
WARM_UP = 200  # records of the untimed first round
SIZES = "48,400"
REGION = re.compile(r"(<!-- bench -->\n).*?(<!-- /bench -->)", re.DOTALL)


def main() -> int:
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leaves through `run`, which cleans up
    described = machine(LIBRARIES)  # before the runs, for the load
    axolotl, no_axolotl = installed_axolotl(args.readers.resolve())
    missing = {"trl": why_no_trl(), "axolotl": no_axolotl}
    left_out = [f"{key} ({why})" for key, why in missing.items() if why and key not in args.skip]
    for why in left_out:
        say(f"left out: {why}")
    skipped = {*args.skip, *(key for key, why in missing.items() if why)}
    races: list[Race] = []
    for number, corpus in enumerate(args.corpora):
        records = sum(1 for _ in corpus.lines())
        say(f"{corpus.name}, {records:,} records: {corpus.plain}")
        everyone = contenders(corpus, args.template, args.processes, None if number else axolotl)
        race = Race(corpus, [c for c in everyone if c.key not in skipped], records, left_out=[*left_out])
        with tempfile.TemporaryDirectory(prefix="sftcli-bench-") as folder:
            compete(race, args.tokenizer, args.runs, Path(folder))
            say(f"{corpus.name}: comparing rows")
            # In a process of its own: what this one held would count as the memory of those it begins.
            with ProcessPoolExecutor(1, get_context("spawn")) as judges:
                judged = judges.submit(judge, race, args.tokenizer, Path(folder))
                race.outputs, race.agreements = judged.result()
        races.append(race)
        text = page(races, described, args.tokenizer.name, args.runs)
        write(text, args.output)  # now, so that a run that is ended leaves what it has found
    print(text, end="")
    if args.json:
        args.json.write_text(json.dumps([as_json(race) for race in races], indent=2) + "\n")
    return 0 if all(race.is_as_it_should_be for race in races) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    given = {name: os.environ.get(name) or None for name in ("CORPUS", "TOKENIZER")}
    page = CHECKOUT / "out" / "bench.md"
    add = parser.add_argument
    add("--corpus", metavar="FILE", type=Path, default=given["CORPUS"], help="JSON lines in Alpaca form")
    add("--tokenizer", metavar="FOLDER", type=Path, default=given["TOKENIZER"])
    add("--template", metavar="NAME", help="the role template that fits the tokenizer")
    add("--megabytes", metavar="N,...", help=f"sizes of the corpora ({SIZES}; with --corpus all of it)")
    add("--processes", metavar="N", type=int, default=cores(), help="at most (one for each core)")
    add("--runs", metavar="N", type=int, default=3, help="timed rounds (3)")
    add("--skip", metavar="NAME", choices=KEYS, action="append", default=[], help=f"of {', '.join(KEYS)}")
    add("--readers", metavar="FOLDER", type=Path, default=CHECKOUT / ".readers", help="where axolotl is")
    add("--output", metavar="FILE", type=Path, default=page, help="or a page that has <!-- bench --> marks")
    add("--json", metavar="FILE", type=Path, help="write every run's figures here")
    args = parser.parse_args()
    args.tokenizer = (args.tokenizer or default_tokenizer()).resolve()
    if not (args.tokenizer / "tokenizer.json").is_file():
        parser.error(f"no tokenizer.json in {args.tokenizer}: name a folder with --tokenizer")
    args.template = args.template or fitting_template(args.tokenizer)
    if not args.template:
        parser.error("name the role template that fits the tokenizer with --template")
    if args.corpus and not args.corpus.is_file():
        parser.error(f"no corpus at {args.corpus}: leave --corpus out to have one built")
    if args.runs < 1 or args.processes < 1:
        parser.error("nothing to run")
    args.corpora = list(corpora(args.corpus, args.megabytes))
    return args


def corpora(given: Path | None, megabytes: str | None) -> Iterator[Corpus]:
    """In the sizes that are asked for; what is given, and no size is asked for, is taken as it is."""
    base = given.resolve() if given else built_corpus()
    sizes = megabytes or ("" if given else SIZES)
    if not sizes:
        yield Corpus(base)
        return
    for size in sizes.split(","):
        yield of_size(base, int(size))


def default_tokenizer() -> Path:
    real = shared_folder() / "tokenizers" / "llama3"
    return real if real.is_dir() else CHECKOUT / "sftcli" / "data" / "demo"


def fitting_template(tokenizer: Path) -> str | None:
    """The role template whose control tokens the tokenizer has."""
    text = (tokenizer / "tokenizer.json").read_text(encoding="utf-8")
    signs = {"llama3": '"<|start_header_id|>"', "chatml": '"<|im_start|>"'}
    return next((name for name, sign in signs.items() if sign in text), None)


def compete(race: Race, tokenizer: Path, runs: int, folder: Path) -> None:
    """Run the contenders in turn, so that a slow minute of the machine hits them all alike.

    The last run's outputs stay in `folder`. Round 0 is not timed: it takes the first records only,
    fills the file cache, compiles modules, and finds a wrong command before minutes have gone by.
    """
    first_records = Corpus(folder / "first-records.jsonl", folder)
    first_records.plain.write_bytes(b"".join(islice(race.corpus.lines(), WARM_UP)))
    (folder / "outputs").mkdir()
    for number in range(runs + 1):
        inputs = race.corpus if number else first_records
        for contender in list(race.everyone):
            if contender.rounds is not None and number > contender.rounds:
                continue
            told = f"round {number} of {runs}" if number else "warm-up"
            say(f"{race.corpus.name}, {told}: {contender.name}, {contender.processes} proc.")
            try:
                usage = one_run(contender, inputs, tokenizer, folder)
            except CommandFailedError as error:
                if contender.is_ours:
                    raise SystemExit(f"{contender.name} failed: {error}") from None
                race.everyone.remove(contender)
                race.left_out.append(f"{contender.name} ({str(error).splitlines()[-1]})")
                say(f"left out: {race.left_out[-1]}")
                continue
            say(f"  {usage.seconds:.2f} s")
            if number:
                contender.runs.append(usage)


def one_run(contender: Contender, corpus: Corpus, tokenizer: Path, folder: Path) -> Usage:
    outputs, log = folder / "outputs", folder / "log.txt"
    out = outputs / (contender.out or contender.key)
    if out.is_dir():
        shutil.rmtree(out)
    out.unlink(missing_ok=True)
    words = {"input": getattr(corpus, contender.input), "tokenizer": tokenizer, "out": out}
    argv = [word.format_map(words | {"arrow": outputs / "arrow"}) for word in contender.argv]
    env = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    # Nothing here needs the network, and waiting for it would be no one's speed.
    env |= {"HF_HUB_OFFLINE": "1", "AXOLOTL_DO_NOT_TRACK": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    os.sync()  # no one waits for what another wrote
    # What they keep for the next run, or leave behind where they are killed, goes.
    with tempfile.TemporaryDirectory(dir=folder, prefix="") as scratch:
        env |= {"TMPDIR": scratch, "HF_DATASETS_CACHE": scratch}
        usage = run(argv, cwd=CHECKOUT, env=env, log=log)
    if contender.tells_seconds:
        return replace(usage, **told_seconds(log.read_text(errors="replace")))
    return usage


def told_seconds(log: str) -> dict[str, float]:
    """What a contender says of itself, in a line of its own; libraries may print after it."""
    told = [line for line in log.splitlines() if line.startswith('{"seconds": ')]
    if not told:
        raise CommandFailedError(f"it told no seconds:\n{log[-1000:]}")
    return json.loads(told[-1])


def judge(race: Race, tokenizer: Path, folder: Path) -> tuple[dict[str, Output], dict[str, Agreement]]:
    """Read what was written, and compare it with what is written by hand; by contender."""
    race.outputs = {c.key: read_output(folder / "outputs" / c.out) for c in race.everyone if c.out}
    agreements: dict[str, Agreement] = {}
    if "by-hand" in race.outputs and race.rows_agree:
        for c in race.everyone:
            if c.out and c.key != "by-hand" and not c.other_rows:
                ours, by_hand = race.outputs[c.key], race.outputs["by-hand"]
                step = race.corpus.step if c.input == "sample" else 1
                like = next((k for k in agreements if race.outputs[k].digests == ours.digests), None)
                agreements[c.key] = (
                    agreements[like] if like else compare(race.corpus.plain, tokenizer, ours, by_hand, step)
                )
    return {key: replace(output, digests=[]) for key, output in race.outputs.items()}, agreements


def write(text: str, page: Path) -> None:
    """As the page, or between the markers of the page that is there."""
    page.parent.mkdir(parents=True, exist_ok=True)
    old = page.read_text(encoding="utf-8") if page.exists() else ""
    between = REGION.sub(lambda found: f"{found[1]}\n{text}\n{found[2]}", old)
    page.write_text(between if REGION.search(old) else text, encoding="utf-8")


def as_json(race: Race) -> dict[str, object]:
    contenders = [
        {"key": c.key, "name": c.name, "processes": c.processes, "bytes": race.size_of(c)}
        | {"runs": [asdict(usage) for usage in c.runs]}
        | sums(race, c.key)
        for c in race.everyone
    ]
    # Not asdict: it would count the counter's items.
    agreements = {key: vars(found) for key, found in race.agreements.items()}
    told = {"corpus": race.corpus.name, "records": race.records, "left_out": race.left_out}
    return {**told, "contenders": contenders, "agreements": agreements}


def sums(race: Race, key: str) -> dict[str, int]:
    output = race.outputs.get(key)
    return {n: getattr(output, n) for n in ("rows", "tokens", "trained", "size")} if output else {}


def say(text: str, end: str = "\n") -> None:
    minutes, seconds = divmod(int(time.monotonic() - STARTED), 60)
    print(f"{minutes:>3}:{seconds:02} {text}", file=sys.stderr, flush=True, end=end)


if __name__ == "__main__":
    sys.exit(main())
