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

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from sftcli.advice import advice, advice_on_validation, empty_sources
from sftcli.arrange.asked import VALIDATION, needs_all_rows
from sftcli.commit import commit, staged, staged_files
from sftcli.config import Config, inputs_of
from sftcli.errors import ConfigError, OutputError
from sftcli.layout import size_written, written_layout
from sftcli.manifest import file_facts, input_facts, make_manifest, side_facts, source_facts
from sftcli.output import check_inputs, check_output, shard_name, write_side_files
from sftcli.part import aside_folder, shard_names
from sftcli.parts import in_others, in_this_process
from sftcli.progress import Progress
from sftcli.report import RunReport, SplitReport
from sftcli.resume import asked_of, check_inputs_unchanged
from sftcli.sources import Part, Sources
from sftcli.split import open_rows
from sftcli.staging import Done
from sftcli.threads import InOrder
from sftcli.write_npy import files_of
from sftcli.written import Written

if TYPE_CHECKING:
    from sftcli.arrange.second import Arranged
    from sftcli.workers.pool import Pool

_BATCHES_AHEAD = 2


def prepare(
    config: Config,
    *,
    overwrite: bool = False,
    resume: bool | None = None,
    command: str = "",
    max_errors: int = 20,
    progress: Callable[[Sources], Progress] | None = None,
    announce: Callable[[str], None] | None = None,
    pool: "Pool | None" = None,
) -> RunReport:
    """Make a dataset folder from the config's inputs, or raise and leave what was there as it was.

    Raises BadRecordsError where `on_error` is fail and records are bad, with the first
    `max_errors` of them. `resume` says what becomes of the work of a run that was stopped: None goes on with
    it where it was asked for the same, False throws it away, True wants some to be there; `command` is what
    a user can enter to go on with this one. `progress` is asked once for whom to tell how far the run is,
    and `announce` is told how many rows the layout `steps` makes, before they are written. `pool` does the
    splits (see workers.count.open_pool); without one this process does them.
    """
    started = time.perf_counter()
    if config.output is None:
        raise ConfigError("no output folder: name one with -o")
    out = Path(config.output)
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; -o names a folder")
    check_inputs(out, inputs_of(config))
    left_out = _left_out(config)
    with staged(out) as staging, _hasher() as facts_of:
        check_output(out, overwrite)
        sources = Sources(config, load_engines=pool is None)
        check_inputs(out, sources.files)  # and what patterns stand for
        asked = asked_of(sources)
        staging.begin(asked, command, resume)
        tell = progress(sources) if progress else None
        inputs = facts_of(sources)
        written = Written(sources, staging, max_errors, announce)
        parts = _parts(written, pool, tell)
        (_write_at_last if needs_all_rows(config) else _write_split_by_split)(written, parts)
        written.refuse_too_many_bad()
        written.refuse_nothing()
        written.gather_rejects()
        hashes = {shard["file"]: written.facts[shard["file"]] for shard in written.shards}
        write_side_files(staging.new, sources, written.total.rows, hashes)
        files = staged_files(staging.new, written.facts)
        manifest = make_manifest(
            sources, written.engine, inputs.result(), written.shards, written.sides, written.total, files
        )
        check_inputs_unchanged(asked["inputs"], sources)
        commit(staging, manifest)
    warnings = [text for text in (staging.warning, *written.warnings, sources.warning, left_out) if text]
    warnings += empty_sources(sources.all)
    return _run_report(written, files, tuple(warnings), time.perf_counter() - started)


@contextmanager
def _hasher() -> Iterator[Callable[[Sources], "Future[list[dict[str, Any]]]"]]:
    """A thread that hashes the inputs beside the run, and lets them be where the run ends before it."""
    stop = Event()
    with ThreadPoolExecutor(1) as pool:

        def facts_of(sources: Sources) -> "Future[list[dict[str, Any]]]":
            return pool.submit(lambda: [input_facts(file, name, stop) for file, name in sources.inputs()])

        try:
            yield facts_of
        finally:
            stop.set()


def _parts(written: Written, pool: "Pool | None", tell: Progress | None) -> Iterator[tuple[Part, Done]]:
    """Each split with what became of it, until there are too many bad records."""
    sources, staging = written.sources, written.staging
    if pool is None:
        found = in_this_process(sources, staging, written.budget, tell)
    else:
        found = in_others(sources, staging, pool, written.budget_of_each, tell)
    for part, done in found:
        written.add_part(part, done)
        yield part, done
        if written.is_full_of_bad:
            return


def _write_split_by_split(written: Written, parts: Iterator[tuple[Part, Done]]) -> None:
    """One split in, one shard out, on each side."""
    for part, done in parts:
        for side, name in shard_names(part, written.sources).items():
            written.add_shard(name, side, part.split.file, done.shards[side])
        written.facts |= {name.removeprefix("new/"): facts for name, facts in done.files.items()}
    written.refuse_bad()
    written.shards.sort(key=lambda shard: str(shard["file"]))


def _write_at_last(written: Written, parts: Iterator[tuple[Part, Done]]) -> None:
    """The rows of every split are put aside, then chosen and put in order, and written."""
    from sftcli.arrange.second import arrange

    sources, config, staging = written.sources, written.config, written.staging
    there = [part for part, _ in parts]
    written.refuse_bad()
    arranged = arrange(sources, there, [aside_folder(part, staging) for part in there])
    written.total = SplitReport()
    for source in sources.all:
        written.total.add(source.counts)
    if written.announce and config.layout == "steps":
        written.announce(_steps(arranged))
    for side, index, count, numbers in arranged.shards(len(sources.splits)):
        name = shard_name(side, index, count, config)
        counts = SplitReport()
        with (
            open_rows(staging.path_of(name), sources.run, counts, name) as write,
            InOrder(_BATCHES_AHEAD) as put,
        ):
            for batch in arranged.batches(numbers):
                put.put(write, arranged.spill.rows(batch))
        if arranged.repeats:  # of a record that stands more than once, another row may be written
            counts.examples, counts.dropped = 0, Counter()
        written.total.add(counts)
        written.add_shard(name, side, None, counts)
        written.facts[name] = file_facts(staging.new / name)
    written.shards.sort(key=lambda shard: str(shard["file"]))


def _steps(arranged: "Arranged") -> str:
    """How many steps there will be: their tokens grow with the square of a row's."""
    rows = tokens = 0
    for numbers in arranged.order.values():
        for batch in arranged.batches(numbers):
            more = size_written(arranged.spill.rows(batch), "steps")
            rows, tokens = rows + more[0], tokens + more[1]
    return f"steps: {rows:,} rows of {tokens:,} tokens in all will be written"


def _left_out(config: Config) -> str | None:
    """A warning where rules are selected that do not run here."""
    if not config.select:
        return None
    from sftcli.rules.beside import rules_left_out

    return rules_left_out(config.select, config.ignore)


def _validation_advice(written: Written) -> list[str]:
    held = written.sides[VALIDATION].given_rows if VALIDATION in written.sides else 0
    told = advice_on_validation(written.config, held, written.total.examples)
    return [told] if told else []


def _shard_files(shards: Sequence[Mapping[str, Any]]) -> set[str]:
    """The names of all files that the shards are made of."""
    return {path.as_posix() for shard in shards for path in files_of(Path(shard["file"]))}


def _run_report(
    written: Written, files: dict[str, dict[str, Any]], warnings: tuple[str, ...], seconds: float
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
        engine=written.engine,
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
        resumed=written.staging.resumed,
    )
