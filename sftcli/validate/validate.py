"""A whole run of the gate: every file judged, and what is found put together in order."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from sftcli.config import Config
from sftcli.cores import cores
from sftcli.errors import FileError
from sftcli.findings.finding import Findings
from sftcli.plan import STDIN, Split, plan_splits
from sftcli.read import LineBlock, is_blank
from sftcli.read.source import lines_before
from sftcli.validate.forked import in_order
from sftcli.validate.formats import FileJudges, JudgeMaker
from sftcli.validate.one_split import Judged, blocks_of, judge_split
from sftcli.validate.overlap import OtherSet
from sftcli.validate.settings import Settings
from sftcli.validate.tally import Limits, Tally
from sftcli.validate.together import Together

_SPLIT_BYTES = 2 << 20
_MOST_WORKERS = 8
_MOST_LOOKS = 32  # splits that are looked through for the first record of a file


@dataclass(frozen=True)
class Validated:
    """What a run found. `bad`, `bad_files`: records and files that break a rule that has no limit."""

    findings: Findings
    bad: int
    bad_files: int

    def failures(self, settings: Settings) -> list[str]:
        """Why the run fails, in words; empty where it does not."""
        counts, records = self.findings.counts, self.findings.records
        files = (
            f"{self.bad_files:,} finding{'s' * (self.bad_files > 1)} about whole files, which no limit allows"
        )
        return [files] * bool(self.bad_files) + settings.failures(counts, self.bad, records)


def validate(config: Config, settings: Settings, count_all: bool = False) -> Validated:
    """Judge all inputs of a config.

    Reading stops at `settings.max_errors` errors, unless a limit needs all to be counted, or
    `count_all`. Raises UsageError for options that cannot work, EnvironmentFault for inputs that
    cannot be read; what is wrong with the data is in what is returned.
    """
    on = settings.rules_on(tokens=config.tokenizer is not None)
    limits = settings.limits(on, count_all)
    splits = plan_splits(config.inputs, _SPLIT_BYTES)
    other, notes = None, list[str]()
    if settings.against:
        from sftcli.validate.against import other_set  # most runs have none

        other, notes = other_set(settings, config, splits)
    maker = _maker(config, settings, limits, splits, other)
    task = _Task(maker, _judges_of_large_files(splits, maker), config.limit)
    # Rows go through engines with threads of their own, and --limit counts over all files.
    alone = maker.engines is not None or config.limit is not None
    workers = 1 if alone else settings.num_proc or min(_MOST_WORKERS, cores())
    together = Together(limits, list(dict.fromkeys(split.file for split in splits)))
    # Closed whatever happens, so that no process outlives the run.
    with closing(in_order(task, splits, workers, _lines_of)) as results:
        for split in splits:
            together.add(split, next(results))
            if together.is_full:
                together.findings.partial = split is not splits[-1] or together.stopped_inside
                break
    together.end()
    together.findings.notes += notes
    return Validated(together.findings, together.bad, together.bad_files)


def _lines_of(split: Split) -> str:
    """A split's file and, where it can be told, which of its lines they are."""
    if split.compression or split.kind != "jsonl" or split.file == STDIN or split.end is None:
        return split.file
    before = lines_before(split.file, split.start)
    return f"{split.file}: lines {before + 1:,} to {max(before + 1, lines_before(split.file, split.end)):,}"


def _maker(
    config: Config, settings: Settings, limits: Limits, splits: Sequence[Split], other: OtherSet | None
) -> JudgeMaker:
    tokenizer = engines = None
    if config.tokenizer is not None:
        from sftcli.crosscheck import Engines
        from sftcli.job import open_tokenizer

        tokenizer = open_tokenizer(config)
        files = {split.file for split in splits} - {STDIN}
        engines = Engines(tokenizer, config.encoder, sum(os.path.getsize(file) for file in files))
    return JudgeMaker(config, limits, tokenizer, engines, settings.vocab_size, other)


def _judges_of_large_files(splits: Sequence[Split], maker: JudgeMaker) -> dict[str, tuple[int, FileJudges]]:
    """The judges of files in several splits, which all must know what the first record shows.

    Beside them, the index of the split that this stands in. A file is left out where no record is
    found in a while: its splits look for themselves.
    """
    several = {split.file for split in splits if split.start}
    known: dict[str, tuple[int, FileJudges]] = {}
    looked = Counter[str]()
    for split in splits:
        if split.file not in several or split.file in known or looked[split.file] >= _MOST_LOOKS:
            continue
        looked[split.file] += 1
        judges = FileJudges(maker)
        with suppress(FileError):  # the split is judged all the same, and tells
            for block in blocks_of(split):
                judges.of(block)
                if judges.known is not None:
                    known[split.file] = split.index, judges
                    break
    return known


@dataclass
class _Task:
    """What is done with one split, in whatever process."""

    maker: JudgeMaker
    known: Mapping[str, tuple[int, FileJudges]]
    limit: int | None

    def __call__(self, split: Split) -> Judged:
        limits = self.maker.limits
        if self.limit == 0:
            return Judged(Tally(limits), is_read=False)
        blocks = blocks_of(split) if self.limit is None else self._limited(blocks_of(split))
        shown_in, judges = self.known.get(split.file, (split.index, FileJudges(self.maker)))
        judged = judge_split(split, blocks, judges.of, limits)
        judged.has_record = judges.known is not None
        judged.unknown = judges.unknown if split.index == shown_in else None
        return judged

    def _limited(self, blocks: Iterator[LineBlock]) -> Iterator[LineBlock]:
        """The blocks up to the record at which the whole run stops."""
        for block in blocks:
            left = self.limit or 0
            if not left:
                return
            read = block.up_to(left)
            self.limit = left - sum(not is_blank(line) for line in read.lines)
            yield read
