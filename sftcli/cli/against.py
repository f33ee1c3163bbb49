"""The other side of a comparison: the same record under other options, or another folder's row."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from sftcli.cli.options import config_flags, key_values, typed
from sftcli.cli.said import counted
from sftcli.config import Config, SourceOptions, load_config
from sftcli.errors import DataError, UsageError
from sftcli.job import Job, make_job, open_tokenizer
from sftcli.sources import own_config
from sftcli.view.dataset import Dataset
from sftcli.view.raw import RawData, RawRecord, RowMaker
from sftcli.view.row import RowView
from sftcli.yamlfile import nearest

# They say where rows go, or which there are; the rows are the same.
_CHANGE_NO_ROW = ("inputs", "sources", "output", "limit", "format", "compression", "on_error", "encoder")


class OtherOptions:
    """Raw data's records under a config in which some options are others.

    `names` tell the two sides apart by these options. `doubt` is empty: it is the same record.
    """

    doubt = ""

    def __init__(
        self, source: RawData, pairs: Sequence[str], config: str | None, flags: Mapping[str, Any]
    ) -> None:
        changed = _changed(pairs)
        inputs = source.config.inputs
        other = load_config(config, {**config_flags(dict(flags)), "inputs": inputs, **changed})
        tokenizer = open_tokenizer(other)
        jobs = [
            make_job(own, tokenizer, run.sample)
            for own, run in zip(_configs(other, changed), source.runs, strict=True)
        ]
        self._makers = list(map(RowMaker, jobs))
        self.names = _names(source.jobs, changed), _names(jobs, changed)

    def view(self, item: RawRecord) -> RowView:
        """Raises DataError where these options make no row of the record."""
        try:
            return self._makers[item.of].view(item)
        except DataError as problem:
            raise DataError(f"{problem} (with {self.names[1]})") from None


class OtherFolder:
    """Another prepared folder's rows by their numbers; `names` are the folders'.

    `doubt`: why rows of one number may not be of one record, empty where they are.
    """

    def __init__(self, source: Dataset, folder: Path) -> None:
        self._other = Dataset(folder, source.split)
        self.names = source.name, self._other.name
        self.doubt = _doubt(source, self._other)

    def view(self, item: int) -> RowView:
        """Raises UsageError where the other folder has fewer rows."""
        if item >= self._other.rows:
            rows = counted(self._other.rows, "row")
            raise UsageError(f"--against {self._other.name}: has {rows}, so no row {item:,}")
        return self._other.view(item)


Other = OtherOptions | OtherFolder


def other_side(
    against: tuple[str, ...], source: RawData | Dataset, config: str | None, flags: Mapping[str, Any]
) -> Other:
    """Raises UsageError where the source cannot be compared with what is asked for."""
    if isinstance(source, RawData):
        if len(against) == 1 and Path(against[0]).is_dir():
            raise UsageError(
                f"--against {against[0]}: is a folder, and {source.name} is raw data, whose records are "
                "numbered otherwise; compare it under other options (KEY=VALUE), or two prepared folders"
            )
        return OtherOptions(source, against, config, flags)
    if len(against) == 1 and Path(against[0]).is_dir():
        return OtherFolder(source, Path(against[0]))
    raise UsageError(
        f"--against {against[0]}: {source.name} is a prepared folder, which is compared with another one; "
        "name one folder, or inspect the raw data to compare options"
    )


def _changed(pairs: Sequence[str]) -> dict[str, Any]:
    """("train-on=last", ...) as values of a Config."""
    changed: dict[str, Any] = {}
    for key, text in key_values(tuple(pairs), "--against").items():
        name = key.replace("-", "_")
        if name in _CHANGE_NO_ROW or name not in Config.__struct_fields__:
            known = set(Config.__struct_fields__) - set(_CHANGE_NO_ROW)
            unknown = f"is no option of a config{nearest(name, known, 'sftcli inspect --help')}"
            raise UsageError(f"--against {key}: {'changes no row' if name in _CHANGE_NO_ROW else unknown}")
        changed[name] = typed(text)
    return changed


def _doubt(left: Dataset, right: Dataset) -> str:
    reasons = [
        f"{folder.name} left out {counted(folder.left_out, 'record')}"
        for folder in (left, right)
        if folder.left_out
    ]
    if left.inputs != right.inputs:
        reasons.insert(0, "their inputs differ")
    return "; ".join(["folders are compared by row number", *reasons]) if reasons else ""


def _configs(config: Config, changed: Mapping[str, Any]) -> list[Config]:
    """That of each source, or the config itself where it has none; what changes does so in all of them."""
    of_sources = {key: getattr(config, key) for key in changed if key in SourceOptions.__struct_fields__}
    return [replace(own_config(config, source), **of_sources) for source in config.sources] or [config]


def _names(jobs: Sequence[Job], changed: Mapping[str, Any]) -> str:
    """The options that differ, as they are in these jobs."""
    return ", ".join(
        f"{key}={' + '.join(dict.fromkeys(_value(job, key) for job in jobs))}" for key in changed
    )


def _value(job: Job, key: str) -> str:
    settled = {"template": job.template, "record_format": job.record_format}
    value = settled.get(key, getattr(job.config, key))
    return "(not set)" if value in (None, [], {}) else str(value)
