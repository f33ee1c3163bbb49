"""One split of a run -> its files in the staging folder, and what became of it.

It depends on nothing but the split's bytes and what the run was asked for. So it is all the same which
process does it, and whether another run did it before.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from sftcli.arrange.asked import needs_all_rows, sides
from sftcli.arrange.sides import Given
from sftcli.budget import Budget, Watch
from sftcli.errors import EnvironmentFault
from sftcli.manifest import file_facts
from sftcli.output import reject_lines, shard_name
from sftcli.progress import Progress
from sftcli.report import SplitReport
from sftcli.resume import changed, input_state
from sftcli.sources import Part, Sources
from sftcli.split import Processed, make_rows, process_split
from sftcli.staging import Done, Staging
from sftcli.write_npy import files_of


@dataclass(frozen=True)
class Errand:
    """What is to be done with a split besides: see `process_split`."""

    budget: Budget
    tell: Progress | None = None
    watch: Watch | None = None


def process_part(part: Part, sources: Sources, staging: Staging, errand: Errand) -> Done:
    """Make the files of a split: its shards, or its rows put aside where their places hang on all rows."""
    config = sources.config
    aside, before = needs_all_rows(config), input_state(part.split.file)
    processed = (_put_aside if aside else _write_shards)(part, sources, staging, errand)
    paths = _aside_files(part, staging) if aside else _shard_files(part, sources, staging)
    if input_state(part.split.file) != before:
        raise EnvironmentFault(changed(part.split.file))
    done = Done(
        number=part.number,
        split=part.split,
        input=before,
        on_error=config.on_error,
        report=processed.report,
        shards=dict(processed.shards),
        given=processed.given,
        files={path.relative_to(staging.root).as_posix(): file_facts(path) for path in paths},
        engine=part.source.run.engines.name,
        warning=part.source.run.engines.warning,
    )
    rejects = b""
    if config.on_error == "quarantine":
        rejects = reject_lines(done.report.rejects)
        done.report.rejects.clear()
    staging.save(done, rejects)
    return done


def is_whole(part: Part, done: Done, sources: Sources, staging: Staging) -> bool:
    """Whether what a run before made of a split is all that is made of one."""
    aside = needs_all_rows(sources.config)
    if aside and not aside_folder(part, staging).is_dir():
        return False
    paths = _aside_files(part, staging) if aside else _shard_files(part, sources, staging)
    made = {path.relative_to(staging.root).as_posix() for path in paths}
    rejects = {staging.rejects_of(part.number).relative_to(staging.root).as_posix()}
    shards = set() if aside else set(shard_names(part, sources))
    return made == done.files.keys() - rejects and done.shards.keys() == shards


def shard_names(part: Part, sources: Sources) -> dict[str, str]:
    """The shards of a split by their side; one split in, one shard out on each side."""
    splits, config = len(sources.splits), sources.config
    return {side: shard_name(side, part.number, splits, config) for side in sides(config)}


def aside_folder(part: Part, staging: Staging) -> Path:
    return staging.aside / f"{part.number:05d}"


def _write_shards(part: Part, sources: Sources, staging: Staging, errand: Errand) -> Processed:
    paths = {side: staging.path_of(name) for side, name in shard_names(part, sources).items()}
    return process_split(part.split, part.source.run, paths, errand.budget, errand.tell, errand.watch)


def _shard_files(part: Part, sources: Sources, staging: Staging) -> list[Path]:
    names = shard_names(part, sources).values()
    paths = {path for name in names for path in files_of(staging.new / name)}
    return sorted(path for path in paths if path.exists())


def _put_aside(part: Part, sources: Sources, staging: Staging, errand: Errand) -> Processed:
    from sftcli.arrange.spill import open_spill

    folder, report = aside_folder(part, staging), SplitReport()
    shutil.rmtree(folder, ignore_errors=True)
    with open_spill(folder) as write:
        make_rows(part.split, part.source.run, report, write, errand.budget, errand.tell, watch=errand.watch)
    return Processed(report, {}, Given())


def _aside_files(part: Part, staging: Staging) -> list[Path]:
    return sorted(aside_folder(part, staging).iterdir())
