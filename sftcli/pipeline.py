"""The whole run on one page: plan, process each split, and commit the folder.

plan      inputs  -> splits
  read    split   -> lines
  parse   line    -> Conversation
  render  Conversation -> Rendered
  encode  [Rendered]   -> TokenBatch
  fit     TokenBatch   -> TokenBatch
  write   TokenBatch   -> shard
manifest  reports -> manifest.json
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sftcli.commit import commit, staged, staged_files
from sftcli.config import Config
from sftcli.errors import BadRecordsError, ConfigError, DataError, OutputError
from sftcli.manifest import file_facts, input_facts, make_manifest
from sftcli.output import (
    append_rejects,
    check_inputs,
    check_output,
    dataset_card,
    digest_of,
    shard_name,
    write_arrow_state,
    write_side_files,
)
from sftcli.report import RunReport, SplitReport
from sftcli.run import Run
from sftcli.split import Budget, Progress, process_split


def prepare(
    config: Config,
    *,
    overwrite: bool = False,
    max_errors: int = 20,
    progress: Callable[[Run], Progress] | None = None,
) -> RunReport:
    """Make a dataset folder from the config's inputs, or raise and leave what was there as it was.

    Raises BadRecordsError where `on_error` is fail and records are bad, with the first
    `max_errors` of them. `progress` is asked once for whom to tell how far the run is.
    """
    started = time.perf_counter()
    if config.output is None:
        raise ConfigError("no output folder: name one with -o")
    out = Path(config.output)
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; -o names a folder")
    check_inputs(out, config.inputs)
    left_out = _left_out(config)
    total = SplitReport()
    shards: list[dict[str, Any]] = []
    with staged(out) as staging, ThreadPoolExecutor(1) as hasher:
        check_output(out, overwrite)
        run = Run(config)
        check_inputs(out, run.files)  # and what patterns stand for
        tell = progress(run) if progress else None
        inputs = hasher.submit(lambda: [input_facts(file) for file in run.files])
        for split in run.splits:
            name = shard_name(split.index, len(run.splits), config.format)
            budget = _budget(config, total, max_errors)
            report = process_split(split, run, staging / name, budget, tell)
            if config.on_error == "quarantine" and report.rejects:
                append_rejects(staging / "rejects.jsonl", report.rejects)
                report.rejects.clear()
            shards.append(report.shard_facts(name, split.file))
            total.add(report)
            if _budget(config, total, max_errors).fatal == 0:
                break
        _refuse_bad(total, config, max_errors)
        written = {shard["file"]: file_facts(staging / shard["file"]) for shard in shards}
        digest = digest_of(written)
        write_side_files(staging, run.job.tokenizer_files(), dataset_card(total.rows, run.job, digest))
        if config.format == "arrow":
            write_arrow_state(staging, list(written), digest)
        files = staged_files(staging, written)
        commit(staging, out, make_manifest(run.job, run.engines.name, inputs.result(), shards, total, files))
    warnings = [text for text in (run.engines.warning, left_out) if text]
    return _run_report(run, total, shards, files, warnings, time.perf_counter() - started)


def _left_out(config: Config) -> str | None:
    """A warning where rules are selected that do not run here."""
    if not config.select:
        return None
    from sftcli.rules.beside import rules_left_out

    return rules_left_out(config.select, config.ignore)


def _budget(config: Config, so_far: SplitReport, max_errors: int) -> Budget:
    """What is left for the next split."""
    left = max(max_errors - so_far.rejected.total(), 0)
    return Budget(
        records=None if config.limit is None else config.limit - so_far.records,
        fatal=left if config.on_error == "fail" else None,
        kept=None if config.on_error == "quarantine" else left,
    )


def _refuse_bad(total: SplitReport, config: Config, max_errors: int) -> None:
    """Raise where nothing may be written: bad records under on_error fail, or no rows at all."""
    if config.on_error == "fail" and total.rejected:
        count = total.rejected.total()
        raise BadRecordsError(total.rejects[:max_errors], count, partial=count >= max_errors)
    total.check_sum()
    if not total.rows:
        reasons = ", ".join(
            f"{found['count']:,} {code} {found['name']}"
            for code, found in total.findings().items()
            if found["severity"] == "error"
        )
        raise DataError(f"no row to write: {total.lines:,} lines read" + (f", {reasons}" if reasons else ""))


def _run_report(
    run: Run,
    total: SplitReport,
    shards: list[dict[str, Any]],
    files: dict[str, dict[str, Any]],
    warnings: Sequence[str],
    seconds: float,
) -> RunReport:
    config, tokenizer = run.job.config, run.job.tokenizer
    return RunReport(
        counts=total,
        output=config.output or "",
        format=config.format,
        template=run.job.template,
        record_format=run.job.record_format,
        tokenizer=tokenizer.name,
        tokenizer_size=tokenizer.size,
        added_tokens=tokenizer.added,
        engine=run.engines.name,
        warnings=tuple(warnings),
        shards=len(shards),
        bytes_written=sum(files[shard["file"]]["bytes"] for shard in shards),
        seconds=seconds,
    )
