"""The whole run on one page: plan, process each split, and commit the folder.

plan      inputs  -> splits
  read    split   -> lines
  parse   line    -> Conversation
  render  Conversation -> Rendered
  encode  [Rendered]   -> TokenBatch
  fit     TokenBatch   -> TokenBatch
  pack    Rows    -> Rows
  write   Rows    -> shard
manifest  reports -> manifest.json

Where it hangs on all rows which of them are written and in what order, they are put aside before they
are packed, and a second pass takes them from there (see arrange).
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftcli.advice import advice, advice_on_validation
from sftcli.arrange.asked import VALIDATION, near_threshold, needs_all_rows, sides
from sftcli.commit import commit, staged, staged_files
from sftcli.config import Config, inputs_of
from sftcli.errors import BadRecordsError, ConfigError, DataError, OutputError
from sftcli.layout import size_written, written_layout
from sftcli.manifest import file_facts, input_facts, make_manifest, side_facts, source_facts
from sftcli.output import append_rejects, check_inputs, check_output, shard_name, write_side_files
from sftcli.parse.detect import of_another_format
from sftcli.report import RunReport, SplitReport
from sftcli.sources import Part, Sources
from sftcli.split import Budget, Progress, make_rows, open_rows, process_split
from sftcli.threads import InOrder
from sftcli.write_npy import files_of

if TYPE_CHECKING:
    from sftcli.arrange.second import Arranged

_ASIDE = "aside"  # where rows wait for the second pass
_BATCHES_AHEAD = 2


@dataclass
class _Written:
    """What a run has written so far. `total` counts all of it, and `sides` the rows of each split."""

    sources: Sources
    staging: Path
    tell: Progress | None
    max_errors: int
    announce: Callable[[str], None] | None = None
    total: SplitReport = field(default_factory=SplitReport)
    sides: dict[str, SplitReport] = field(default_factory=dict)
    shards: list[dict[str, Any]] = field(default_factory=list)

    @property
    def config(self) -> Config:
        return self.sources.config

    def path_of(self, shard: str) -> Path:
        path = self.staging / shard
        path.parent.mkdir(exist_ok=True)
        return path

    def add_part(self, part: Part, report: SplitReport) -> None:
        """Take account of what was read of one split."""
        if self.config.on_error == "quarantine" and report.rejects:
            append_rejects(self.staging / "rejects.jsonl", report.rejects)
            report.rejects.clear()
        part.source.counts.add(report)
        self.total.add(report)

    def add_shard(self, name: str, side: str, file: str | None, counts: SplitReport) -> None:
        """Take account of a shard, made of `file` (None: of several)."""
        self.shards.append(counts.shard_facts(name, side, file))
        self.sides.setdefault(side, SplitReport()).add(counts)


def prepare(
    config: Config,
    *,
    overwrite: bool = False,
    max_errors: int = 20,
    progress: Callable[[Sources], Progress] | None = None,
    announce: Callable[[str], None] | None = None,
) -> RunReport:
    """Make a dataset folder from the config's inputs, or raise and leave what was there as it was.

    Raises BadRecordsError where `on_error` is fail and records are bad, with the first
    `max_errors` of them. `progress` is asked once for whom to tell how far the run is, and `announce`
    is told how many rows the layout `steps` makes, before they are written.
    """
    started = time.perf_counter()
    if config.output is None:
        raise ConfigError("no output folder: name one with -o")
    out = Path(config.output)
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; -o names a folder")
    check_inputs(out, inputs_of(config))
    if near_threshold(config) is not None:
        from sftcli.arrange.near import check_rensa

        check_rensa()
    left_out = _left_out(config)
    with staged(out) as staging, ThreadPoolExecutor(1) as hasher:
        check_output(out, overwrite)
        sources = Sources(config)
        check_inputs(out, sources.files)  # and what patterns stand for
        tell = progress(sources) if progress else None
        inputs = hasher.submit(lambda: [input_facts(file, name) for file, name in sources.inputs()])
        written = _Written(sources, staging, tell, max_errors, announce)
        (_write_at_last if needs_all_rows(config) else _write_split_by_split)(written)
        _refuse_nothing(written)
        written.shards.sort(key=lambda shard: str(shard["file"]))
        hashes = {shard["file"]: file_facts(staging / shard["file"]) for shard in written.shards}
        write_side_files(staging, sources, written.total.rows, hashes)
        files = staged_files(staging, hashes)
        manifest = make_manifest(
            sources, inputs.result(), written.shards, written.sides, written.total, files
        )
        commit(staging, out, manifest)
    warnings = [text for text in (sources.engines.warning, sources.warning, left_out) if text]
    return _run_report(written, files, tuple(warnings), time.perf_counter() - started)


def _write_split_by_split(written: _Written) -> None:
    """One split in, one shard out, on each side."""
    config, splits = written.config, len(written.sources.splits)
    for part, budget in _parts(written):
        names = {side: shard_name(side, part.number, splits, config) for side in sides(config)}
        paths = {side: written.path_of(name) for side, name in names.items()}
        done = process_split(part.split, part.source.run, paths, budget, written.tell)
        written.add_part(part, done.report)
        part.source.given.add(done.given)
        for side, name in names.items():
            written.add_shard(name, side, part.split.file, done.shards[side])
    _refuse_bad(written)


def _write_at_last(written: _Written) -> None:
    """The rows of every split are put aside, then chosen and put in order, and written."""
    from sftcli.arrange.second import arrange
    from sftcli.arrange.spill import open_spill

    sources, config = written.sources, written.config
    aside = written.path_of(f"{_ASIDE}/0").parent
    parts = []
    for part, budget in _parts(written):
        report = SplitReport()
        with open_spill(aside / str(part.number)) as write:
            make_rows(part.split, part.source.run, report, write, budget, written.tell)
        written.add_part(part, report)
        parts.append(part)
    _refuse_bad(written)
    arranged = arrange(sources, parts, [aside / str(part.number) for part in parts])
    written.total = SplitReport()
    for source in sources.all:
        written.total.add(source.counts)
    if written.announce and config.layout == "steps":
        written.announce(_steps(arranged))
    for side, index, count, numbers in arranged.shards(len(sources.splits)):
        name = shard_name(side, index, count, config)
        counts = SplitReport()
        with (
            open_rows(written.path_of(name), sources.run, counts, name) as write,
            InOrder(_BATCHES_AHEAD) as put,
        ):
            for batch in arranged.batches(numbers):
                put.put(write, arranged.spill.rows(batch))
        if arranged.repeats:  # of a record that stands more than once, another row may be written
            counts.examples, counts.dropped = 0, Counter()
        written.total.add(counts)
        written.add_shard(name, side, None, counts)
    shutil.rmtree(aside)


def _steps(arranged: "Arranged") -> str:
    """How many steps there will be: their tokens grow with the square of a row's."""
    rows = tokens = 0
    for numbers in arranged.order.values():
        for batch in arranged.batches(numbers):
            more = size_written(arranged.spill.rows(batch), "steps")
            rows, tokens = rows + more[0], tokens + more[1]
    return f"steps: {rows:,} rows of {tokens:,} tokens in all will be written"


def _parts(written: _Written) -> Iterator[tuple[Part, Budget]]:
    """Each split with what is left for it, until there are too many bad records."""
    for part in written.sources.parts():
        yield part, _budget(written, part)
        if _budget(written, part).fatal == 0:
            return


def _budget(written: _Written, part: Part) -> Budget:
    """What is left for a split."""
    config, total, source = written.config, written.total, part.source
    limits = ((config.limit, total.records), (source.max_records, source.counts.records))
    left = max(written.max_errors - total.rejected.total(), 0)
    return Budget(
        records=min((most - so_far for most, so_far in limits if most is not None), default=None),
        fatal=left if config.on_error == "fail" else None,
        kept=None if config.on_error == "quarantine" else left,
    )


def _refuse_bad(written: _Written) -> None:
    """Raise where records are bad under on_error fail."""
    total = written.total
    if written.config.on_error == "fail" and total.rejected:
        count = total.rejected.total()
        partial = count >= written.max_errors
        shown = total.rejects[: written.max_errors]
        other = None if written.config.sources else of_another_format(shown, written.sources.files)
        raise BadRecordsError(shown, count, partial, other)


def _refuse_nothing(written: _Written) -> None:
    """Raise where there are no rows, or none on one of the sides."""
    total = written.total
    total.check_sum()
    if not total.rows:
        reasons = ", ".join(
            f"{found['count']:,} {code} {found['name']}"
            for code, found in total.findings().items()
            if found["severity"] == "error"
        )
        raise DataError(f"no row to write: {total.lines:,} lines read" + (f", {reasons}" if reasons else ""))
    for side, counts in written.sides.items():
        if not counts.rows:
            told = f"none of the {total.rows:,} rows would be in `{side}`"
            or_number = ", or for a number of rows" if str(written.config.val_size).endswith("%") else ""
            raise ConfigError(
                f"--val-size {written.config.val_size}: {told}, since equal prompts stay together; "
                f"ask for a larger or smaller part{or_number}"
            )


def _left_out(config: Config) -> str | None:
    """A warning where rules are selected that do not run here."""
    if not config.select:
        return None
    from sftcli.rules.beside import rules_left_out

    return rules_left_out(config.select, config.ignore)


def _validation_advice(written: _Written) -> list[str]:
    held = written.sides[VALIDATION].given_rows if VALIDATION in written.sides else 0
    told = advice_on_validation(written.config, held, written.total.examples)
    return [told] if told else []


def _shard_files(shards: Sequence[Mapping[str, Any]]) -> set[str]:
    """The names of all files that the shards are made of."""
    return {path.as_posix() for shard in shards for path in files_of(Path(shard["file"]))}


def _run_report(
    written: _Written, files: dict[str, dict[str, Any]], warnings: tuple[str, ...], seconds: float
) -> RunReport:
    sources, config, tokenizer = written.sources, written.config, written.sources.tokenizer
    layout = written_layout(sources.run.job)
    return RunReport(
        counts=written.total,
        output=config.output or "",
        format=config.format,
        template=sources.template,
        record_format=sources.record_format,
        tokenizer=tokenizer.name,
        tokenizer_size=tokenizer.size,
        added_tokens=tokenizer.added,
        engine=sources.engines.name,
        warnings=warnings,
        shards=len(written.shards),
        bytes_written=sum(files[name]["bytes"] for name in _shard_files(written.shards) if name in files),
        seconds=seconds,
        splits=side_facts(written.sides) if config.val_size is not None else {},
        sources=source_facts(sources) if config.sources else [],
        layout=config.layout,
        columns=layout.names,
        profile=config.profile,
        advice=(*advice(config, tokenizer), *_validation_advice(written)),
        padding=layout.padding,
        dedup=config.dedup,
    )
