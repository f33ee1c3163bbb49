"""What a run has written so far, and whether it may stand."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sftcli.advice import nothing_to_write
from sftcli.budget import Budget
from sftcli.config import Config
from sftcli.errors import BadRecordsError, ConfigError, DataError, TooManyBadError
from sftcli.parse.detect import of_another_format
from sftcli.report import SplitReport
from sftcli.sources import Part, Sources
from sftcli.staging import Done, Staging


@dataclass
class Written:
    """What a run has written so far. `total` counts all of it, and `sides` the rows of each split.

    `engine` is that of the first split, in which a run without others would have checked it.
    """

    sources: Sources
    staging: Staging
    max_errors: int
    announce: Callable[[str], None] | None = None
    engine: str = ""
    warnings: list[str] = field(default_factory=list)
    total: SplitReport = field(default_factory=SplitReport)
    sides: dict[str, SplitReport] = field(default_factory=dict)
    shards: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)  # of the shards' files, by name
    rejects: list[Path] = field(default_factory=list)

    @property
    def config(self) -> Config:
        return self.sources.config

    @property
    def is_full_of_bad(self) -> bool:
        """Whether there are as many bad records as are told before the run ends."""
        return self.config.on_error == "fail" and self.total.rejected.total() >= self.max_errors

    def add_part(self, part: Part, done: Done) -> None:
        """Take account of what became of a split."""
        part.source.counts.add(done.report)
        part.source.given.add(done.given)
        self.total.add(done.report)
        self.engine = self.engine or done.engine
        if done.warning is not None and done.warning not in self.warnings:
            self.warnings.append(done.warning)
        self.rejects.append(self.staging.rejects_of(part.number))

    def add_shard(self, name: str, side: str, file: str | None, counts: SplitReport) -> None:
        """Take account of a shard, made of `file` (None: of several)."""
        self.shards.append(counts.shard_facts(name, side, file))
        self.sides.setdefault(side, SplitReport()).add(counts)

    @property
    def budget_of_each(self) -> Budget:
        """How many bad records end a split, and how many of them are kept for the report.

        As many in each split as in all of them: how far one is read hangs on no other.
        """
        on_error = self.config.on_error
        fatal = self.max_errors if on_error == "fail" else None
        return Budget(fatal=fatal, kept=None if on_error == "quarantine" else self.max_errors)

    def budget(self, part: Part) -> Budget:
        """What is left for a split."""
        config, source = self.config, part.source
        limits = ((config.limit, self.total.records), (source.max_records, source.counts.records))
        left = min((most - so_far for most, so_far in limits if most is not None), default=None)
        return replace(self.budget_of_each, records=left)

    def refuse_bad(self) -> None:
        """Raise where records are bad under on_error fail."""
        total = self.total
        if self.config.on_error == "fail" and total.rejected:
            count = total.rejected.total()
            partial = count >= self.max_errors
            shown = total.rejects[: self.max_errors]
            other = None if self.config.sources else of_another_format(shown, self.sources.files)
            raise BadRecordsError(shown, count, partial, other)

    def refuse_too_many_bad(self) -> None:
        """Raise where more records are bad than --max-bad allows to be left out."""
        config, total = self.config, self.total
        if config.max_bad is None or not total.rejected:
            return
        from sftcli.validate.settings import parse_limit

        most, bad = parse_limit(config.max_bad, "--max-bad"), total.rejected.total()
        if most.is_exceeded(bad, total.records):
            first = next(iter(total.first_rejects.values()))
            raise TooManyBadError(
                f"{bad:,} of {total.records:,} records are bad, over --max-bad {most} (the first at "
                f"{first}); nothing was written. Mend the data, or allow more of them"
            )

    def refuse_nothing(self) -> None:
        """Raise where there are no rows, or none on one of the sides."""
        total = self.total
        total.check_sum()
        if not total.rows:
            raise DataError(nothing_to_write(total, self.sources.all))
        for side, counts in self.sides.items():
            if not counts.rows:
                told = f"none of the {total.rows:,} rows would be in `{side}`"
                or_number = ", or for a number of rows" if str(self.config.val_size).endswith("%") else ""
                raise ConfigError(
                    f"--val-size {self.config.val_size}: {told}, since equal prompts stay together; "
                    f"ask for a larger or smaller part{or_number}"
                )

    def gather_rejects(self) -> None:
        """One file of the bad records of all splits, in their order."""
        kept = [path for path in self.rejects if path.exists()]
        if kept:
            with self.staging.path_of("rejects.jsonl").open("wb") as whole:
                for path in kept:
                    with path.open("rb") as part:
                        shutil.copyfileobj(part, whole)
