"""What the splits came to -> one list of findings, in the order of their places."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sftcli.findings.finding import Finding, Findings
from sftcli.plan import Split
from sftcli.rules.catalogue import BY_NAME, RULES
from sftcli.validate.content import garbled_message
from sftcli.validate.one_split import Fault, Judged
from sftcli.validate.repeats import Prints, find_repeats
from sftcli.validate.tally import Doubt, Limits

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


class Together:
    """Takes what the splits came to, in order, and makes one list of findings of it."""

    def __init__(self, limits: Limits, files: Sequence[str]) -> None:
        self.findings = Findings(files=list(files))
        self.bad = self.bad_files = 0
        self.stopped_inside = False
        self._limits = limits
        self._errors = self._warnings = 0
        self._file = -1
        self._faulty = self._has_record = self._has_unknown = False
        self._is_read = True
        self._first_line = 0  # of the split that comes next, from 0
        self._once: dict[str, tuple[int, int]] = {}
        self._records_before = 0
        self._prints: list[tuple[int, int, Prints]] = []  # with each split's file and first line

    @property
    def is_full(self) -> bool:
        return self._limits.stop is not None and self._errors >= self._limits.stop

    def add(self, split: Split, judged: Judged) -> None:
        """Add what the next split came to."""
        if split.start == 0:
            self._end_file()
            self._file += 1
            self._faulty, self._first_line = False, 0
            self._has_record = self._has_unknown = False
        if self._faulty:
            return  # the lines of a file that is no JSON say nothing
        tally, base = judged.tally, self._first_line
        self._is_read = judged.is_read
        self._has_record |= judged.has_record
        if judged.unknown is not None and not self._has_unknown:
            self._has_unknown = True
            if "R001" in self._limits.on:
                self._one("R001", judged.unknown.message, base + judged.unknown.line + 1, 1, is_fault=True)
        for found in tally.found:
            self._keep(self._finding(found.code, found.message, base + found.line + 1, found.column))
        self._count(tally.counts)
        self._settle(tally.doubts)
        for code, (line, count) in tally.once.items():
            first, before = self._once.get(code, (base + line, 0))
            self._once[code] = (first, before + count)
        self._prints.append((self._file, base, judged.prints))
        self._first_line += tally.lines
        self.findings.records += tally.records
        self.bad += tally.bad
        self.stopped_inside = judged.is_cut
        if judged.fault is not None:
            self._add_fault(judged.fault)

    def _settle(self, doubts: Sequence[Doubt]) -> None:
        """Add the doubtful texts that are mojibake, each once."""
        for line, words in doubts:
            for word, column in words:
                message = garbled_message(word)
                if message is not None:
                    self._keep(self._finding("C007", message, self._first_line + line + 1, column))
                    self._count(Counter({"C007": 1}))
                    break

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
        if self._is_read and not self._faulty:
            if self.findings.records == self._records_before:
                self._add_fault(Fault("empty_input", "no records: the input is empty"))
            elif not self._has_record and not self.stopped_inside:
                file = self.findings.files[self._file]
                self.findings.notes.append(f"no line of {file} is a record, so only its JSON was judged")
        self._records_before = self.findings.records

    def _add_fault(self, fault: Fault) -> None:
        self._faulty = True
        code = BY_NAME[fault.name].code
        if code in self._limits.on:
            self._one(code, fault.message, fault.line, fault.column, is_fault=True)

    def _one(
        self, code: str, message: str, line: int | None, column: int | None, is_fault: bool = False
    ) -> None:
        """A finding that is about a file and not about a record; there is always room for it.

        `is_fault`: it says that the file is not what it should be, which no limit excuses.
        """
        self.findings.kept.append(self._finding(code, message, line, column))
        self._count(Counter({code: 1}))
        self.bad_files += is_fault or code in self._limits.serious

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
        for code, records, firsts in find_repeats(whole, prompt, file, on):
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


def _joined(parts: Sequence[npt.NDArray[np.integer]]) -> Ints:
    return np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64)
