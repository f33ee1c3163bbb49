"""Finding: one broken rule at one place, and all that a run found."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from sftcli.rules.rule import Rule, Severity


class Finding(msgspec.Struct, frozen=True, gc=False):
    """`line` and `column` are 1-based (columns in code points), None where the whole file is meant.

    `code` is a rule's. The message is plain text that may quote data: whoever shows it escapes it.
    """

    code: str
    message: str
    file: str
    line: int | None = None
    column: int | None = None

    @property
    def place(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


@dataclass
class Findings:
    """What a run found: the findings that were kept, in order, and the counts of all of them.

    `counts`: by code, those included that were not kept. `partial`: whether reading stopped before
    the end of the inputs. `records`: how many were judged, and `noun` what one of them is called.
    `notes`: what else is to be known of the run, in a few words each.
    """

    kept: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    partial: bool = False
    records: int = 0
    files: list[str] = field(default_factory=list)
    noun: str = "record"
    notes: list[str] = field(default_factory=list)

    def add(self, finding: Finding, keep: int) -> None:
        """Count a finding, and keep it while fewer than `keep` are kept."""
        self.counts[finding.code] += 1
        if len(self.kept) < keep:
            self.kept.append(finding)

    def total(self, severity: Severity, rules: Mapping[str, Rule]) -> int:
        """How many were found of rules of this severity, kept or not."""
        return sum(count for code, count in self.counts.items() if rules[code].severity == severity)

    def not_kept(self) -> Counter[str]:
        """By code, how many were found and not kept."""
        return self.counts - Counter(finding.code for finding in self.kept)

    def errors_first(self, rules: Mapping[str, Rule]) -> Iterator[Finding]:
        """The kept findings, errors before warnings, for readers that show the first ones alone."""
        for severity in ("error", "warning"):
            yield from (finding for finding in self.kept if rules[finding.code].severity == severity)
