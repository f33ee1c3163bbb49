"""Counts of a run: one report per split, and their sum, in which every input line is found again."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch
from sftcli.errors import InternalError, Reject
from sftcli.read import LineBlock

_KEPT_PLACES = 10  # examples of dropped rows that a report names


@dataclass
class SplitReport:
    """What became of the lines of one split, or of several added together.

    `dropped` and `rejected` count rows by reason. `places` names the first input lines behind
    each reason in `dropped`, `first_rejects` the first bad record of each reason. `warned` counts what
    the selected rules found beside these, by code; `first_warned` is the first place. `straddles` counts
    the tokens across a mask boundary, masked and trained. `longest` is the longest row written, in
    tokens, `longest_place` where it came from.
    """

    lines: int = 0
    blank: int = 0
    rows: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    longest: int = 0
    longest_place: str = ""
    input_bytes: int = 0
    control_text_rows: int = 0
    straddles: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(2, np.int64))
    dropped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)
    first_rejects: dict[str, str] = field(default_factory=dict)
    warned: Counter[str] = field(default_factory=Counter)
    first_warned: dict[str, str] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)

    @property
    def records(self) -> int:
        """Lines that are not blank."""
        return self.lines - self.blank

    def count_rows(self, batch: TokenBatch, block: LineBlock) -> None:
        """Add the rows that are written; `batch.line` counts from the block's first line."""
        self.rows += len(batch)
        self.tokens += len(batch.ids)
        self.trained_tokens += int(batch.trained.sum())
        self.straddles += batch.straddles.sum(axis=0, dtype=np.int64)
        if len(batch) and int(batch.lengths.max()) > self.longest:
            row = int(batch.lengths.argmax())
            self.longest = int(batch.lengths[row])
            self.longest_place = f"{block.file}:{block.first_line + int(batch.line[row])}"

    def count_dropped(self, reason: str, file: str, lines: npt.NDArray[np.int64]) -> None:
        self.dropped[reason] += len(lines)
        places = self.places.setdefault(reason, [])
        places.extend(f"{file}:{line}" for line in lines[: _KEPT_PLACES - len(places)])

    def count_rejected(self, reject: Reject, keep: int | None) -> None:
        """Add a bad record; the first `keep` of them (None: all) are kept whole."""
        self.rejected[reject.code] += 1
        self.first_rejects.setdefault(reject.code, reject.place)
        if keep is None or len(self.rejects) < keep:
            self.rejects.append(reject)

    def add(self, other: "SplitReport") -> None:
        """Add another split's counts to this one's."""
        for name in (
            "lines",
            "blank",
            "rows",
            "tokens",
            "trained_tokens",
            "input_bytes",
            "control_text_rows",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.longest > self.longest:
            self.longest, self.longest_place = other.longest, other.longest_place
        self.straddles += other.straddles
        self.dropped += other.dropped
        self.rejected += other.rejected
        self.notes += other.notes
        self.rejects += other.rejects
        self.first_rejects = other.first_rejects | self.first_rejects
        self.warned += other.warned
        self.first_warned = other.first_warned | self.first_warned
        for reason, places in other.places.items():
            mine = self.places.setdefault(reason, [])
            mine.extend(places[: _KEPT_PLACES - len(mine)])

    def check_sum(self) -> None:
        """Contract M10: every line read is a row, dropped, rejected or blank."""
        found = self.rows + self.dropped.total() + self.rejected.total() + self.blank
        if found != self.lines:
            raise InternalError(f"{self.lines} lines were read and {found} accounted for")

    def shard_facts(self, name: str, file: str) -> dict[str, Any]:
        """What a manifest says of the one shard that this report is about."""
        return {
            "file": name,
            "input": file,
            "rows": self.rows,
            "tokens": self.tokens,
            "trained_tokens": self.trained_tokens,
        }

    def findings(self) -> dict[str, dict[str, Any]]:
        """What was found, by the rule's code: its name and severity, how often, and the first place."""
        if not (self.dropped or self.rejected or self.warned):
            return {}
        from sftcli.rules.catalogue import BY_NAME, RULES

        places = {name: first for name, (first, *_) in self.places.items()} | self.first_rejects
        told = [
            (BY_NAME[name], count, places[name]) for name, count in (self.dropped + self.rejected).items()
        ]
        told += [(RULES[code], count, self.first_warned[code]) for code, count in self.warned.items()]
        return {
            rule.code: {"name": rule.name, "severity": rule.severity, "count": count, "first": first}
            for rule, count, first in sorted(told, key=lambda one: one[0].code)
        }

    def counts(self) -> dict[str, Any]:
        """The counts that go into a manifest: the same for the same input, config and version."""
        return {
            "lines": self.lines,
            "rows": self.rows,
            "dropped": dict(sorted(self.dropped.items())),
            "rejected": dict(sorted(self.rejected.items())),
            "findings": self.findings(),
            "blank": self.blank,
            "tokens": self.tokens,
            "trained_tokens": self.trained_tokens,
            "longest_row": self.longest,
            "straddling_tokens": {"masked": int(self.straddles[0]), "trained": int(self.straddles[1])},
            "control_text_rows": self.control_text_rows,
            "notes": dict(sorted(self.notes.items())),
        }


@dataclass(frozen=True)
class RunReport:
    """A finished run: its counts, where the output is, and how long it took."""

    counts: SplitReport
    output: str
    format: str
    template: str
    record_format: str
    tokenizer: str
    tokenizer_size: int
    added_tokens: tuple[tuple[str, int], ...]
    engine: str
    warnings: tuple[str, ...]
    shards: int
    bytes_written: int
    seconds: float
