"""Counts of a run: one report per split, and their sum, in which every input line is found again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sftcli.batch import Rows, TokenBatch
from sftcli.errors import InternalError, Reject
from sftcli.layout.pad import Padding
from sftcli.pack import LeftOut
from sftcli.read import InputLine, LineBlock
from sftcli.read.source import lines_before

# The reason of records for which their source's share has no room.
MIX_WEIGHT = "mix_weight"
NEAR_DUPLICATE = "near_duplicate"
# The reasons that hang on other records than the one that is dropped.
LEFT_OUT = ("duplicate_record", "different_answers", NEAR_DUPLICATE, MIX_WEIGHT)
_KEPT_PLACES = 10  # examples of dropped rows that a report names


@dataclass
class SplitReport:
    """What became of the lines of one split, or of several added together.

    `examples` are the records that stand in the rows written, and `rows` the rows: as many, unless they are
    packed. `dropped` and `rejected` count records by reason. `places_at` has the first input lines behind
    each reason in `dropped`, `first_rejects` the first bad record of each reason. `warned` counts what
    the selected rules found beside these, by code; `first_warned` is the first place. `straddles` counts
    the tokens across a mask boundary, masked and trained. `longest` is the longest record that is written,
    in tokens, `longest_at` where it came from. `packed_length` is the most tokens of a packed row, None
    where nothing is packed; `untrained_rows` are packed rows that were not written since nothing in them is
    trained, with `untrained_tokens` in them. `cut_rows` were too long and are written as `truncation`
    shortened them, without `cut_tokens` of their tokens. `given_rows` are the rows before they are packed or
    become steps, each as often as it stands; `padding` counts the tokens that fill rows up, which are in
    none of the other counts.
    """

    lines: int = 0
    blank: int = 0
    examples: int = 0
    given_rows: int = 0
    rows: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    padding: int = 0
    longest: int = 0
    longest_at: InputLine | str = ""
    input_bytes: int = 0
    control_text_rows: int = 0
    packed_length: int | None = None
    truncation: str = ""
    cut_rows: int = 0
    cut_tokens: int = 0
    untrained_rows: int = 0
    untrained_tokens: int = 0
    straddles: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(2, np.int64))
    dropped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    places_at: dict[str, list[InputLine | str]] = field(default_factory=dict)
    first_rejects: dict[str, str] = field(default_factory=dict)
    warned: Counter[str] = field(default_factory=Counter)
    first_warned: dict[str, str] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)

    @property
    def longest_place(self) -> str:
        """File and line of the longest record; in a large file its lines are counted for it."""
        return str(self.longest_at)

    @property
    def places(self) -> dict[str, list[str]]:
        """File and line of the first records that were dropped for each reason."""
        count = cache(lines_before)
        return {
            reason: [place if isinstance(place, str) else place.told(count) for place in places]
            for reason, places in self.places_at.items()
        }

    @property
    def records(self) -> int:
        """Lines that are not blank."""
        return self.lines - self.blank

    @property
    def fill(self) -> float | None:
        """The share of packed rows that is tokens; the rest would be padding. None where none are packed."""
        if self.packed_length is None or not self.rows:
            return None
        return self.tokens / (self.rows * self.packed_length)

    def count_rows(self, rows: Rows, written: int, tokens: int, padding: Padding | None) -> None:
        """Add rows that are written, in the layout as so many rows with so many tokens in all."""
        if padding is not None:
            self.padding += int((padding.lengths(rows.lengths) - rows.lengths).sum())
        self.rows += written
        self.tokens += tokens
        self.trained_tokens += int(rows.trained.sum())

    def count_left_out(self, left_out: LeftOut, file: str) -> None:
        """Take account of packed rows in which nothing is trained; they came from `file`."""
        self.untrained_rows += left_out.rows
        self.untrained_tokens += left_out.tokens
        if left_out.records:
            self.examples -= left_out.records
            self.given_rows -= left_out.records
            self.dropped["no_trained_tokens"] += left_out.records
            self.places_at.setdefault("no_trained_tokens", [file])

    def count_examples(self, batch: TokenBatch, block: LineBlock) -> None:
        """Add the records that are written; `batch.line` counts from the block's first line."""
        self.examples += len(batch)
        self.straddles += batch.straddles.sum(axis=0, dtype=np.int64)
        if len(batch) and int(batch.lengths.max()) > self.longest:
            row = int(batch.lengths.argmax())
            self.longest = int(batch.lengths[row])
            self.longest_at = block.input_line(int(batch.line[row]))

    def count_cut(self, truncation: str, rows: int, tokens: int) -> None:
        """Add rows that are written shorter than they were, and the tokens that this left out."""
        if rows:
            self.truncation = truncation
            self.cut_rows += rows
            self.cut_tokens += tokens

    def count_dropped(self, reason: str, block: LineBlock, indices: npt.NDArray[np.int64]) -> None:
        """Add dropped records; `indices` are those of their lines in the block."""
        self.dropped[reason] += len(indices)
        places = self.places_at.setdefault(reason, [])
        places.extend(map(block.input_line, indices[: _KEPT_PLACES - len(places)].tolist()))

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
            "examples",
            "given_rows",
            "rows",
            "tokens",
            "trained_tokens",
            "padding",
            "input_bytes",
            "control_text_rows",
            "cut_rows",
            "cut_tokens",
            "untrained_rows",
            "untrained_tokens",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.longest > self.longest:
            self.longest, self.longest_at = other.longest, other.longest_at
        self.packed_length = self.packed_length or other.packed_length
        self.truncation = self.truncation or other.truncation
        self.straddles += other.straddles
        self.dropped += other.dropped
        self.rejected += other.rejected
        self.notes += other.notes
        self.rejects += other.rejects
        self.first_rejects = _both(self.first_rejects, other.first_rejects)
        self.warned += other.warned
        self.first_warned = _both(self.first_warned, other.first_warned)
        for reason, places in other.places_at.items():
            mine = self.places_at.setdefault(reason, [])
            mine.extend(places[: _KEPT_PLACES - len(mine)])

    def check_sum(self) -> None:
        """Contract M10: every line read stands in a row, or is dropped, rejected or blank."""
        found = self.examples + self.dropped.total() + self.rejected.total() + self.blank
        if found != self.lines:
            raise InternalError(f"{self.lines} lines were read and {found} accounted for")

    def shard_facts(self, name: str, side: str, file: str | None) -> dict[str, Any]:
        """What a manifest says of this report's one shard, made of `file` (None: of several)."""
        return {
            "file": name,
            "split": side,
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

        places = {name: str(first) for name, (first, *_) in self.places_at.items()} | self.first_rejects
        told = [
            (BY_NAME[name], count, places[name])
            for name, count in (self.dropped + self.rejected).items()
            if name != MIX_WEIGHT  # no fault of the records
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
            "examples": self.examples,
            "rows": self.rows,
            "dropped": dict(sorted(self.dropped.items())),
            "rejected": dict(sorted(self.rejected.items())),
            "findings": self.findings(),
            "blank": self.blank,
            "tokens": self.tokens,
            "trained_tokens": self.trained_tokens,
            "longest_row": self.longest,
            "truncated": (
                {self.truncation: {"rows": self.cut_rows, "tokens_left_out": self.cut_tokens}}
                if self.cut_rows
                else {}
            ),
            "straddling_tokens": {"masked": int(self.straddles[0]), "trained": int(self.straddles[1])},
            "control_text_rows": self.control_text_rows,
            "notes": dict(sorted(self.notes.items())),
            **({"packing": self._packing()} if self.packed_length is not None else {}),
        }

    def _packing(self) -> dict[str, Any]:
        return {
            "fill": None if self.fill is None else round(self.fill, 6),
            "untrained_rows": self.untrained_rows,
            "untrained_tokens": self.untrained_tokens,
        }


def _both(first: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """All places by their reasons, in the order in which they were found."""
    return {**first, **{reason: place for reason, place in other.items() if reason not in first}}


@dataclass(frozen=True)
class RunReport:
    """A finished run: its counts, where the output is, and how long it took.

    `splits` and `sources` say what is in each of them, where there are several (see manifest). `columns`
    are the names of the columns, and `padding` is how rows are filled up. `resumed` splits were done by a run
    that was stopped. `advice` is what must be known to have the rows trained as they are meant, also by the
    reader whose `profile` they are.
    """

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
    splits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    sources: Sequence[Mapping[str, Any]] = ()
    layout: str = "causal"
    columns: Sequence[str] = ()
    profile: str | None = None
    advice: Sequence[str] = ()
    padding: Padding | None = None
    dedup: str = "none"
    resumed: int = 0
