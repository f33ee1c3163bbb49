"""Tally: what one split came to, until it is put together with the others."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from sftcli.rules.catalogue import RULES


class Found(NamedTuple):
    """A finding in a split; its line is counted from the split's first one, from 0."""

    code: str
    message: str
    line: int
    column: int | None


class Doubt(NamedTuple):
    """A text that may hold mojibake: its line, and words in it with their columns."""

    line: int
    words: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Limits:
    """Which findings are told, and how many.

    `on`: the codes of the rules that are on; `serious`: those that make a record a bad one. `keep`:
    how many errors, and how many warnings, are kept of each split. `stop`: after how many errors a
    split is read no further, None where all are to be counted.
    """

    on: frozenset[str]
    serious: frozenset[str]
    keep: int
    stop: int | None


@dataclass
class Tally:
    """Findings and counts of one split, and how many lines and records it has.

    `bad`: how many records break a serious rule. `once` holds, for rules that are told once for a
    whole file, the first line and how many there are. `doubts` are left to whoever puts the splits
    together: to load what settles them takes longer than to judge some megabytes.
    """

    limits: Limits
    found: list[Found] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    warnings: int = 0
    lines: int = 0
    records: int = 0
    bad: int = 0
    once: dict[str, tuple[int, int]] = field(default_factory=dict)
    doubts: list[Doubt] = field(default_factory=list)
    _bad_lines: set[int] = field(default_factory=set)

    def add(self, code: str, message: str, line: int, column: int | None) -> None:
        """Count a finding, where its rule is on."""
        if code not in self.limits.on:
            return
        self.counts[code] += 1
        if RULES[code].severity == "error":
            self.errors += 1
            seen = self.errors
        else:
            self.warnings += 1
            seen = self.warnings
        if seen <= self.limits.keep:
            self.found.append(Found(code, message, line, column))
        if code in self.limits.serious:
            self._bad_lines.add(line)

    def end_block(self) -> None:
        """Count the bad records of the lines so far; no more findings on them may come."""
        self.bad += len(self._bad_lines)
        self._bad_lines.clear()

    def add_once(self, code: str, line: int) -> None:
        """Count a line that breaks a rule which is told once for its file."""
        first, count = self.once.get(code, (line, 0))
        self.once[code] = (first, count + 1)

    def keeps(self, code: str) -> bool:
        """Whether one more finding of this rule would be kept, so that its place is worth finding."""
        seen = self.errors if RULES[code].severity == "error" else self.warnings
        return code in self.limits.on and seen < self.limits.keep

    @property
    def is_full(self) -> bool:
        """Whether the split is read no further."""
        return self.limits.stop is not None and self.errors >= self.limits.stop
