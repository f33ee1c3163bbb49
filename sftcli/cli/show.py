"""What `prepare` prints: the progress bar, the bad records, the report."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from sftcli.cli.terminal import hung, labelled, warning
from sftcli.errors import BadRecordsError
from sftcli.report import MIX_WEIGHT, RunReport, SplitReport
from sftcli.view.cells import one_line

if TYPE_CHECKING:
    from sftcli.progress import Progress, Step
    from sftcli.run import Run
    from sftcli.sources import Sources

NOTES = {
    "tools_left_out": "the record defines tools, and the template has no place for them",
    "content_left_out": "the template leaves out the text beside a tool call",
    "reasoning_left_out": "the template leaves out the reasoning of a turn",
    "terminator_in_content": "an answer already ended in the terminator's text; it stands once",
    "nothing_before_answer": "the first token is trained, and has no label: nothing stands before it",
    "seq2seq_earlier_answers": "answers before the last one are read, and nothing is learnt from them",
    "injected_text": "the template put text into an answer that nobody wrote (an empty think block, say)",
}
_CUT = {
    "right": "cut on the right",
    "left": "cut on the left",
    "turns": "without their oldest turns",
    "prompt": "with a shorter prompt",
}
# What --dedup drops: the rules' names say what is wrong with data, and not why a record was left out.
_SAME = {
    "duplicate_record": "same as an earlier record",
    "different_answers": "same prompt as an earlier record",
    "near_duplicate": "nearly the same as an earlier record",
}
_MB = 1_000_000
_INDENT = 4  # of what goes on below a bad record's place
_NAME = 10  # columns of what a line of the report is about


class Bar:
    """A tqdm bar on stderr, made when the size of the work is known; or nothing."""

    def __init__(self, shown: bool, name: str = "prepare") -> None:
        self._shown, self._name = shown, name
        self._bar: Any = None

    def start(self, run: "Run | Sources") -> "Progress":
        """A bar by input bytes, with the tokens a second and the bad records beside it."""
        tell = self.by_bytes(run)
        began, tokens, bad = time.monotonic(), 0, 0

        def told(step: "Step") -> None:
            nonlocal tokens, bad
            tokens, bad = tokens + step.tokens, bad + step.bad
            if self._bar is not None and step.bytes:
                rate = si(tokens / max(time.monotonic() - began, 0.001))
                rejected = f", {_count(bad, 'bad record')}" if bad else ""
                self._bar.set_postfix_str(f"{rate} tokens/s{rejected}", refresh=False)
            tell(step.bytes)

        return told

    def by_bytes(self, run: "Run | Sources") -> Callable[[int], None]:
        """A bar by input bytes alone."""
        # Of compressed input only the packed size is known, while what is counted is text.
        plain = all(split.compression is None and split.kind == "jsonl" for split in run.splits)
        return self.begin(run.input_bytes if plain and run.input_bytes else None, "B")

    def begin(self, total: int | None, unit: str) -> Callable[[int], None]:
        """A bar by `unit`. What this returns is told of each part that is done."""
        if not self._shown:
            return lambda done: None
        from tqdm import tqdm

        width = min(shutil.get_terminal_size().columns, 100)  # of a terminal of no size: 80
        self.close()
        bar = tqdm(
            total=total,
            unit=unit,
            unit_scale=True,
            desc=self._name,
            file=sys.stderr,
            leave=False,
            ncols=width,
        )
        self._bar = bar

        def tell(done: int) -> None:
            bar.update(done)

        return tell

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def bad_records(problem: BadRecordsError) -> None:
    """List the bad records on stderr and say what to do."""
    for reject in problem.rejects:
        place = f"{one_line(reject.place)}:"
        lines = hung(f"{place} {one_line(reject.reason)}", _INDENT, sys.stderr)
        click.echo(click.style(place, bold=True) + lines.removeprefix(place), err=True)
    count = _count(problem.total, "bad record")
    if problem.partial:
        count = (
            f"{count} by the time reading stopped, {len(problem.rejects):,} shown (--max-errors N shows more)"
        )
    mend = "Mend the data, or pass --on-error skip or --on-error quarantine."
    if problem.other_format is not None:
        mend = (
            f"The records of {one_line(problem.other_format)} have another format than those before: give "
            "each file as a source of its own, under `sources:` in a config."
        )
    click.echo(labelled("error", "red", f"{count}; nothing was written. {mend}"), err=True)
    if getattr(problem, "__notes__", None) and problem.other_format is None:
        text = "What is done of the other splits is kept: with one of these two options the run goes on."
        click.echo(hung(text, 0, sys.stderr), err=True)


def report(run: RunReport, *, as_json: bool, quiet: bool) -> None:
    """The end of a good run: one JSON object, or a summary for a person."""
    if as_json:
        click.echo(json.dumps(report_json(run), ensure_ascii=False))
        return
    if quiet:
        return
    for line in summary(run):
        click.echo(line)
    for text in run.warnings:
        click.echo(warning(text), err=True)


def report_json(run: RunReport) -> dict[str, Any]:
    facts = {name: value for name, value in asdict(run).items() if name not in ("counts", "added_tokens")}
    return {
        **facts,
        "records": run.counts.records,
        **run.counts.counts(),
        "padding_tokens": run.counts.padding,
        "longest_row_place": run.counts.longest_place,
        "dropped_places": run.counts.places,
        "added_tokens": [{"text": text, "id": token_id} for text, token_id in run.added_tokens],
        "input_bytes": run.counts.input_bytes,
        "megabytes_per_second": round(run.counts.input_bytes / _MB / run.seconds, 2),
    }


def summary(run: RunReport) -> list[str]:
    """The report as lines of a name and what it is."""
    counts = run.counts
    share = counts.trained_tokens / max(counts.tokens, 1)
    records, rows = _count(counts.records, "record"), _count(counts.rows, "row")
    return [
        click.style(f"{records} in, {rows} out: {one_line(run.output)}", bold=True),
        *_findings(counts),
        *_duplicates(run),
        *([_line("blank", _count(counts.blank, "line"))] if counts.blank else []),
        *([_line("resumed", f"{_count(run.resumed, 'split')} had been done before")] if run.resumed else []),
        _line("tokens", f"{counts.tokens:,}, of which {counts.trained_tokens:,} trained ({share:.1%})"),
        *_truncated(counts),
        *_packing(counts),
        *_padding(run),
        *_splits(run),
        *_sources(run),
        _line("longest", f"{counts.longest:,} tokens, {counts.longest_place}"),
        _line("layout", f"template {run.template}, records {run.record_format}"),
        *_columns(run),
        _line("tokenizer", f"{run.tokenizer}, {run.tokenizer_size:,} ids, engine {run.engine}"),
        _line(
            "written",
            f"{_count(run.shards, f'{run.format} shard')}, {_size(run.bytes_written)}",
        ),
        _line("time", f"{run.seconds:.2f} s" + _rate(run)),
        *_remarks(run),
    ]


def _truncated(counts: SplitReport) -> list[str]:
    """How many rows were cut to --max-length, and what that left out."""
    if not counts.cut_rows:
        return []
    rows, tokens = _count(counts.cut_rows, "row"), _count(counts.cut_tokens, "token")
    return [_line("truncated", f"{rows} {_CUT[counts.truncation]}, {tokens} left out")]


def _columns(run: RunReport) -> list[str]:
    """The columns, where they are not the usual ones in the usual layout."""
    if tuple(run.columns) == ("input_ids", "attention_mask", "labels") and run.layout == "causal":
        return []
    layout = "" if run.layout == "causal" else f" (layout {run.layout})"
    return [_line("columns", ", ".join(run.columns) + layout)]


def _packing(counts: SplitReport) -> list[str]:
    """How many records became how many rows, and how full those are."""
    if counts.packed_length is None or counts.fill is None:
        return []
    records, rows = _count(counts.examples, "record"), _count(counts.rows, "row")
    return [
        _line("packed", f"{records} into {rows} of {counts.packed_length:,} tokens, {counts.fill:.1%} filled")
    ]


def _padding(run: RunReport) -> list[str]:
    """To what lengths rows were filled up, and how much of them that is."""
    if run.padding is None:
        return []
    length, multiple, counts = run.padding.length, run.padding.multiple, run.counts
    lengths = f"multiples of {multiple:,}" if length is None else f"{length:,}"
    share = counts.padding / max(counts.tokens + counts.padding, 1)
    return [_line("padded", f"to {lengths} tokens on the {run.padding.side}, {share:.1%} padding")]


def _splits(run: RunReport) -> list[str]:
    """What is in each of `train` and `validation`."""
    return [
        _line(side, f"{_rows_of(facts)}, {_count(facts['tokens'], 'token')}")
        for side, facts in run.splits.items()
    ]


def _rows_of(facts: Mapping[str, int]) -> str:
    rows = _count(facts["rows"], "row")
    return rows if facts["records"] == facts["rows"] else f"{_count(facts['records'], 'record')} in {rows}"


def _sources(run: RunReport) -> list[str]:
    """What became of each source's records."""
    lines = []
    for source in run.sources:
        left_out = source["dropped"].get(MIX_WEIGHT, 0)
        told = [
            _count(source["lines"] - source["blank"], "record"),
            *([f"{left_out:,} over its weight"] if left_out else []),
            f"{_count(source['rows'], 'row')} ({source['share_of_rows']:.1%})",
            f"{_count(source['tokens'], 'token')} ({source['share_of_tokens']:.1%})",
        ]
        lines.append(_line("source", f"{source['name']}: {', '.join(told)}"))
    return lines


def _remarks(run: RunReport) -> list[str]:
    """What the user should know of the data, each with its count and what to do."""
    counts = run.counts
    masked, trained = map(int, counts.straddles)
    remarks = [
        f"{_count(count, 'row')}: {NOTES.get(note, note)}" for note, count in sorted(counts.notes.items())
    ]
    if counts.untrained_rows:
        rows, tokens = _count(counts.untrained_rows, "row"), _count(counts.untrained_tokens, "token")
        remarks.append(f"{rows} of {tokens} left out when packed: nothing in them is trained")
    if counts.control_text_rows:
        rows = _count(counts.control_text_rows, "row")
        remarks.append(f"{rows} with control-token text in the data; it stays plain text")
    if masked:
        remarks.append(f"{_count(masked, 'token')} across a mask boundary, masked (see `sftcli inspect`)")
    if trained:
        remarks.append(
            f"{_count(trained, 'token')} across a mask boundary by white space alone, trained; at inference "
            "the prompt is tokenized otherwise: let prompts end without white space"
        )
    if run.added_tokens:
        names = ", ".join(text for text, _ in run.added_tokens)
        remarks.append(
            f"added to the tokenizer: {names}. Resize the model's embeddings: "
            f"model.resize_token_embeddings({run.tokenizer_size})"
        )
    return [_line("note", remark) for remark in (*remarks, *run.advice)]


def announce(text: str) -> None:
    """Tell on stderr what is about to happen."""
    click.echo(hung(text, 0, sys.stderr), err=True)


def _findings(counts: SplitReport) -> list[str]:
    """What was found of each rule: rows dropped, records refused, warnings."""
    kinds: dict[str, list[str]] = {"dropped": [], "rejected": [], "warning": []}
    for code, found in counts.findings().items():
        name = found["name"]
        kind = "dropped" if name in counts.dropped else "rejected" if name in counts.rejected else "warning"
        said = _SAME.get(name, name)
        kinds[kind].append(_line(kind, f"{found['count']:,} {code} {said} (first: {found['first']})"))
    return [line for lines in kinds.values() for line in lines]


def _duplicates(run: RunReport) -> list[str]:
    """That they were looked for, also where there are none."""
    if run.dedup == "none" or not run.counts.dropped.keys().isdisjoint(_SAME):
        return []
    return [_line("duplicates", f"none (--dedup {run.dedup})")]


def _line(name: str, text: str) -> str:
    return f"  {click.style(f'{name:<{_NAME}}', dim=True)} {hung(one_line(text), _NAME + 3, sys.stdout)}"


def _rate(run: RunReport) -> str:
    """MB/s of input, where there is enough of it for the figure to mean something."""
    size = run.counts.input_bytes
    return f", {size / _MB / run.seconds:.1f} MB/s" if size >= _MB else ""


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def si(number: float) -> str:
    """A number as 1.2k, 3.4M or 5.6G."""
    for unit in ("", "k", "M"):
        if number < 1000:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}G"


def _size(count: int) -> str:
    return f"{count / _MB:.1f} MB" if count >= _MB else f"{count / 1000:.1f} kB"
