"""A whole run of the gate: every file judged, and what is found put together in order."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from msgspec import structs

from sftcli.config import Config
from sftcli.errors import FileError
from sftcli.findings.finding import Finding, Findings
from sftcli.plan import STDIN, Split, plan_splits
from sftcli.read import LineBlock, read_blocks
from sftcli.rules.catalogue import BY_NAME, RULES
from sftcli.validate.forked import in_order
from sftcli.validate.formats import JudgeMaker, Unknown
from sftcli.validate.one_split import Fault, Judged, Judges, blocks_of, fault_of, judge_split
from sftcli.validate.overlap import OtherSet
from sftcli.validate.repeats import Prints, find_repeats
from sftcli.validate.settings import Settings
from sftcli.validate.tally import Limits, Tally

_SPLIT_BYTES = 4 << 20
_MOST_WORKERS = 8
_ONCE = {
    "J021": "the file begins with a byte order mark",
    "J022": "the line ends in a carriage return",
    "J023": "the line is blank",
}
_REPEATS = {
    "D001": "the same record stands at {}",
    "D002": "the same prompt has another answer at {}",
    "D003": "the same prompt stands in another file, at {}",
}
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Validated:
    """What a run found. `bad`, `bad_files`: records and files that break a rule that has no limit."""

    findings: Findings
    bad: int
    bad_files: int

    def failures(self, settings: Settings) -> list[str]:
        """Why the run fails, in words; empty where it does not."""
        counts, records = self.findings.counts, self.findings.records
        files = [f"{self.bad_files:,} findings on whole files"] if self.bad_files else []
        return files + settings.failures(counts, self.bad, records)


def validate(config: Config, settings: Settings, count_all: bool = False) -> Validated:
    """Judge all inputs of a config.

    Reading stops at `settings.max_errors` errors, unless a limit needs all to be counted, or
    `count_all`. Raises UsageError for options that cannot work, EnvironmentFault for inputs that
    cannot be read; what is wrong with the data is in what is returned.
    """
    on = settings.rules_on(tokens=config.tokenizer is not None)
    limits = settings.limits(on, count_all)
    splits = plan_splits(config.inputs, _SPLIT_BYTES)
    maker = _maker(config, settings, limits, splits)
    task = _Task(maker, _judges_of_large_files(splits, maker), config.limit)
    # Rows go through engines with threads of their own, and --limit counts over all files.
    alone = maker.engines is not None or config.limit is not None
    results = in_order(task, splits, 1 if alone else settings.num_proc or min(_MOST_WORKERS, cores()))
    together = _Together(limits, list(dict.fromkeys(split.file for split in splits)))
    for split in splits:
        together.add(split, *next(results))
        if together.is_full:
            together.findings.partial = split is not splits[-1] or together.stopped_inside
            break
    results.close()
    together.end()
    return Validated(together.findings, together.bad, together.bad_files)


def _maker(config: Config, settings: Settings, limits: Limits, splits: Sequence[Split]) -> JudgeMaker:
    tokenizer = engines = None
    if config.tokenizer is not None:
        from sftcli.crosscheck import Engines
        from sftcli.job import open_tokenizer

        tokenizer = open_tokenizer(config)
        files = {split.file for split in splits} - {STDIN}
        engines = Engines(tokenizer, config.encoder, sum(os.path.getsize(file) for file in files))
    other = _other_set(settings, config) if settings.against else None
    return JudgeMaker(config, limits, tokenizer, engines, settings.vocab_size, other)


def _other_set(settings: Settings, config: Config) -> OtherSet:
    """The records of the --against files; what is wrong with them is not told here."""
    other = OtherSet(settings.overlap)
    nothing = Limits(frozenset(), frozenset(), 0, None)
    plain = structs.replace(config, tokenizer=None, template=None, record_format="auto")
    # Sets for evaluation have all sorts of fields, any of which may be the prompt.
    any_fields = structs.replace(plain, record_format="fields")
    for split in plan_splits(settings.against):
        maker = JudgeMaker(plain, nothing, None, None, None, None)
        judges, blocks, unknown = maker.make(read_blocks(split))
        if unknown is not None:
            judges, blocks, _ = replace(maker, config=any_fields).make(blocks)
        for block in blocks:
            first = block.first_line
            for at, _, conversation in judges.records.judge(block, Tally(nothing)):
                other.add(conversation, f"{split.file}:{first + at}")
    other.index()
    return other


def _judges_of_large_files(splits: Sequence[Split], maker: JudgeMaker) -> dict[str, Judges]:
    """The judges of files in several splits, which all must know what the first one shows."""
    several = {split.file for split in splits if split.start}
    known = {}
    for split in splits:
        if split.file in several and split.start == 0:
            with suppress(FileError):  # its first split is judged all the same, and tells
                known[split.file] = maker.make(blocks_of(split))[0]
    return known


@dataclass
class _Task:
    """What is done with one split, in whatever process."""

    maker: JudgeMaker
    known: Mapping[str, Judges]
    limit: int | None

    def __call__(self, split: Split) -> tuple[Judged, Unknown | None]:
        limits = self.maker.limits
        unknown = None
        blocks = blocks_of(split) if self.limit is None else self._limited(blocks_of(split))
        judges = self.known.get(split.file)
        if judges is None or split.start == 0:
            try:
                judges, blocks, unknown = self.maker.make(blocks)
            except FileError as problem:
                return Judged(Tally(limits), fault=fault_of(problem, split.file)), None
        return judge_split(split, blocks, judges, limits), unknown

    def _limited(self, blocks: Iterator[LineBlock]) -> Iterator[LineBlock]:
        """The blocks up to the record at which the whole run stops."""
        for block in blocks:
            left = self.limit or 0
            if not left:
                return
            there = [index for index, line in enumerate(block.lines) if line and not line.isspace()]
            self.limit = max(0, left - len(there))
            yield block if len(there) <= left else block.head(there[left])


class _Together:
    """Takes what the splits came to, in order, and makes one list of findings of it."""

    def __init__(self, limits: Limits, files: Sequence[str]) -> None:
        self.findings = Findings(files=list(files))
        self.bad = self.bad_files = 0
        self.stopped_inside = False
        self._limits = limits
        self._errors = self._warnings = 0
        self._file = -1
        self._faulty = False
        self._first_line = 0  # of the split that comes next, from 0
        self._once: dict[str, tuple[int, int]] = {}
        self._records_before = 0
        self._prints: list[tuple[int, int, Prints]] = []  # with each split's file and first line

    @property
    def is_full(self) -> bool:
        return self._limits.stop is not None and self._errors >= self._limits.stop

    def add(self, split: Split, judged: Judged, unknown: Unknown | None) -> None:
        """Add what the next split came to."""
        if split.start == 0:
            self._end_file()
            self._file += 1
            self._faulty, self._first_line = False, 0
        if self._faulty:
            return  # the lines of a file that is no JSON say nothing
        tally, base = judged.tally, self._first_line
        if unknown is not None and "R001" in self._limits.on:
            self._one("R001", unknown.message, base + unknown.line + 1, 1)
        for found in tally.found:
            self._keep(self._finding(found.code, found.message, base + found.line + 1, found.column))
        self._count(tally.counts)
        for code, (line, count) in tally.once.items():
            first, before = self._once.get(code, (base + line, 0))
            self._once[code] = (first, before + count)
        self._prints.append((self._file, base, judged.prints))
        self._first_line += tally.lines
        self.findings.records += tally.records
        self.bad += tally.bad
        self.stopped_inside = tally.is_full
        if judged.fault is not None:
            self._add_fault(judged.fault)

    def end(self) -> None:
        """Add what shows only when all is read, and put the findings in the order of their places."""
        self._end_file()
        self._add_repeats()
        order = {file: number for number, file in enumerate(self.findings.files)}
        self.findings.kept.sort(key=lambda one: (order[one.file], one.line or 0, one.column or 0))

    def _end_file(self) -> None:
        if self._file < 0:
            return
        for code, (line, count) in sorted(self._once.items()):
            if code in self._limits.on:
                more = f", as {count - 1:,} more {'do' if count > 2 else 'does'}" if count > 1 else ""
                self._one(code, _ONCE[code] + more, line + 1, 1)
        self._once = {}
        if self.findings.records == self._records_before and not self._faulty:
            self._add_fault(Fault("empty_input", "no records: the input is empty"))
        self._records_before = self.findings.records

    def _add_fault(self, fault: Fault) -> None:
        self._faulty = True
        code = BY_NAME[fault.name].code
        if code in self._limits.on:
            self._one(code, fault.message, fault.line, fault.column)

    def _one(self, code: str, message: str, line: int | None, column: int | None) -> None:
        """A finding that is about a file and not about a record; there is always room for it."""
        self.findings.kept.append(self._finding(code, message, line, column))
        self._count(Counter({code: 1}))
        self.bad_files += code in self._limits.serious

    def _add_repeats(self) -> None:
        on = [code for code in _REPEATS if code in self._limits.on]
        if not on or not any(prints.whole for _, _, prints in self._prints):
            return
        whole = _joined([part for _, _, prints in self._prints for part in prints.whole])
        prompt = _joined([part for _, _, prints in self._prints for part in prints.prompt])
        line = _joined([base + part for _, base, prints in self._prints for part in prints.line])
        file = _joined(
            [np.full(len(part), number) for number, _, prints in self._prints for part in prints.line]
        )
        for code, records, firsts in find_repeats(whole, prompt, file):
            if code not in on:
                continue
            self._count(Counter({code: len(records)}))
            self.bad += len(records) * (code in self._limits.serious)
            room = max(0, self._limits.keep - self._warnings)
            for record, first in zip(records[:room].tolist(), firsts[:room].tolist(), strict=True):
                place = f"{self.findings.files[file[first]]}:{line[first] + 1}"
                here = self.findings.files[file[record]]
                self._keep(Finding(code, _REPEATS[code].format(place), here, int(line[record]) + 1, 1))

    def _finding(self, code: str, message: str, line: int | None, column: int | None) -> Finding:
        return Finding(code, message, self.findings.files[self._file], line, column)

    def _keep(self, finding: Finding) -> None:
        """Keep a finding while there is room for its kind; count it among those."""
        if RULES[finding.code].severity == "error":
            self._errors += 1
            room = self._errors <= self._limits.keep
        else:
            self._warnings += 1
            room = self._warnings <= self._limits.keep
        if room:
            self.findings.kept.append(finding)

    def _count(self, counts: Counter[str]) -> None:
        self.findings.counts += counts  # which leaves out what was not found


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _joined(parts: Sequence[npt.NDArray[np.integer]]) -> Ints:
    return np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64)
