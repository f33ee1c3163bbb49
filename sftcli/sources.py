"""Config -> Sources: the inputs of a run, each read as its source says, with one tokenizer for all."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from sftcli.arrange.asked import near_threshold, needs_all_rows, needs_prints
from sftcli.arrange.sides import Given
from sftcli.config import Config, SourceOptions
from sftcli.crosscheck import Engines
from sftcli.errors import ConfigError
from sftcli.job import open_tokenizer
from sftcli.plan import STDIN, Split, plan_splits, size_of
from sftcli.report import SplitReport
from sftcli.run import Run, Told
from sftcli.tokenizer import Tokenizer

_OWN = ("inputs", "name", "max_records", "repeat", "weight")  # what a config without sources does not have


@dataclass
class Source:
    """One source of a run. `counts` and `given` grow as its splits are read."""

    name: str
    run: Run
    max_records: int | None = None
    repeat: Fraction = Fraction(1)
    weight: Fraction | None = None
    counts: SplitReport = field(default_factory=SplitReport)
    given: Given = field(default_factory=Given)


@dataclass(frozen=True)
class Part:
    """A split of one of the sources; `number` counts the splits of the whole run from 0."""

    number: int
    source: Source
    split: Split


@dataclass(frozen=True)
class Handed:
    """What a process is told of a run that another one began: see `Sources.told`."""

    tokenizer: Tokenizer
    engines: Engines
    runs: Sequence[Told]


class Sources:
    """All that a run reads: one source where the config names inputs, several where it has `sources`.

    Without `load_engines` it can plan and judge, and encode nothing. `handed` stands for what a process
    would look up itself. Raises as Run does, and ConfigError where the sources do not go together.
    """

    def __init__(self, config: Config, *, load_engines: bool = True, handed: Handed | None = None) -> None:
        self.config = config
        if config.sources:
            self.all = _several(config, load_engines, handed)
        elif handed is not None:
            run = Run(config, shared=(handed.tokenizer, handed.engines), told=handed.runs[0])
            self.all = [Source(_name(config.inputs), run)]
        else:
            self.all = [Source(_name(config.inputs), Run(config, load_engines=load_engines))]
        if config.keep:
            from sftcli.keep import shared_types

            types = shared_types({source.name: source.run.job.keep for source in self.all})
            for source in self.all:
                source.run.job = replace(source.run.job, keep=types)
        if needs_prints(config) or needs_all_rows(config):
            from sftcli.arrange.prints import Fingerprint, printing
            from sftcli.arrange.said import Said

            for source in self.all:
                job = source.run.job
                fingerprint = Fingerprint(job.layout) if needs_prints(config) else None
                said = Said(job.layout) if near_threshold(config) is not None else None
                source.run.job = replace(job, render=printing(job.render, fingerprint, said))
        self.run = self.all[0].run
        self.jobs = [source.run.job for source in self.all]
        self.tokenizer = self.run.job.tokenizer
        self.files = list(dict.fromkeys(file for source in self.all for file in source.run.files))
        self.splits = [split for source in self.all for split in source.run.splits]
        self.input_bytes = sum(source.run.input_bytes for source in self.all)

    @property
    def engines(self) -> Engines:
        return self.run.engines

    @property
    def told(self) -> list[Told]:
        """What another process needs to know of each source."""
        return [source.run.told for source in self.all]

    def parts(self) -> Iterator[Part]:
        """Every split of every source, in order."""
        parts = ((source, split) for source in self.all for split in source.run.splits)
        return (Part(number, source, split) for number, (source, split) in enumerate(parts))

    def part(self, number: int) -> Part:
        """The split of that number."""
        return next(itertools.islice(self.parts(), number, None))

    @property
    def template(self) -> str:
        """The names of the templates, each once."""
        return " + ".join(dict.fromkeys(job.template for job in self.jobs))

    @property
    def record_format(self) -> str:
        """The names of the record formats, each once."""
        return " + ".join(dict.fromkeys(job.record_format for job in self.jobs))

    def tokenizer_files(self) -> dict[str, bytes]:
        """The tokenizer to save: with the sources' chat template where all have the same, else its own."""
        return self.jobs[0].tokenizer_files() if self._are_alike else self.tokenizer.saved_files()

    @cached_property
    def _are_alike(self) -> bool:
        """Whether all sources have the same chat template."""
        files = self.jobs[0].tokenizer_files()
        return all(job.tokenizer_files() == files for job in self.jobs[1:])

    @property
    def warning(self) -> str | None:
        """What to know of several chat templates in one dataset."""
        if self._are_alike:
            return None
        return (
            f"the sources are laid out by different templates ({self.template}); the saved tokenizer keeps "
            "its own chat template"
        )

    def inputs(self) -> list[tuple[str, str | None]]:
        """Every input file, and the name of its source where there are several."""
        named = bool(self.config.sources)
        return [(file, source.name if named else None) for source in self.all for file in source.run.files]


def _several(config: Config, load_engines: bool, handed: Handed | None) -> list[Source]:
    names = [source.name or _name(source.inputs) for source in config.sources]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ConfigError(
                f"sources[{number}]: is named {name!r}, and so is sources[{names.index(name)}]; "
                "give it another `name`"
            )
    _refuse_second_stdin(config.sources)
    shared: tuple[Tokenizer, Engines | None]
    if handed is not None:
        shared = handed.tokenizer, handed.engines
    else:
        files = {split.file for written in config.sources for split in plan_splits(written.inputs)}
        tokenizer = open_tokenizer(config)
        shared = tokenizer, Engines(tokenizer, config.encoder, size_of(files)) if load_engines else None
    told: Sequence[Told | None] = handed.runs if handed is not None else [None] * len(names)
    return [
        Source(
            name=name,
            run=_run(name, own_config(config, source), shared, known),
            max_records=source.max_records,
            repeat=Fraction(str(source.repeat)),
            weight=None if source.weight is None else Fraction(str(source.weight)),
        )
        for name, source, known in zip(names, config.sources, told, strict=True)
    ]


def _run(name: str, config: Config, shared: tuple[Tokenizer, Engines | None], told: Told | None) -> Run:
    """The run of one source. What its records lack of the config is told with the source's name."""
    try:
        return Run(config, shared=shared, told=told)
    except ConfigError as problem:
        raise ConfigError(f"source {name!r}: {problem}") from None


def own_config(config: Config, source: SourceOptions) -> Config:
    """The config of one source alone: the whole one's, under what the source says itself."""
    given: dict[str, Any] = {
        name: value
        for name, value in msgspec.structs.asdict(source).items()
        if name not in _OWN and value is not UNSET
    }
    return msgspec.structs.replace(config, sources=[], inputs=source.inputs, **given)


def _refuse_second_stdin(sources: Sequence[SourceOptions]) -> None:
    readers = [number for number, source in enumerate(sources) if STDIN in source.inputs]
    if len(readers) > 1:
        raise ConfigError(f"sources[{readers[1]}].inputs: standard input (-) can be read only once")


def _name(inputs: Sequence[str]) -> str:
    """What a source is called that has no name: its first input, without the folder."""
    return Path(inputs[0]).name if inputs else ""
