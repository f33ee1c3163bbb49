"""Split -> its findings; the result depends on nothing else, so splits can be judged side by side."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sftcli.errors import FileError
from sftcli.plan import Split
from sftcli.read import LineBlock, read_blocks
from sftcli.validate.judge import Good, Judge
from sftcli.validate.overlap import OtherSet
from sftcli.validate.repeats import Prints
from sftcli.validate.tally import Limits, Tally

if TYPE_CHECKING:
    from sftcli.validate.tokens import TokenJudge

_BLOCK_BYTES = 1 << 18  # its lines, records and texts together stay in the processor's cache
_BOM_BYTES = 3


@dataclass(frozen=True)
class Fault:
    """A file that cannot be read as what it says it is."""

    name: str
    message: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True)
class Unknown:
    """Why no format fits, and the line (from 0) of the record that shows it."""

    message: str
    line: int


@dataclass
class Judged:
    """What a split came to.

    `fault`: what ended the reading of its file. `unknown`: why its records are of no format.
    `has_record`: whether any line showed a format, or that it has none. `is_read`: False where the
    run had read as many records as it was to read. `is_cut`: whether lines were left unread after errors
    enough.
    """

    tally: Tally
    prints: Prints = field(default_factory=Prints)
    fault: Fault | None = None
    unknown: Unknown | None = None
    has_record: bool = False
    is_read: bool = True
    is_cut: bool = False


@dataclass(frozen=True)
class Judges:
    """What a file's records are judged by; `first_line` of an unknown format is told where it is."""

    records: Judge
    tokens: "TokenJudge | None" = None
    repeats: bool = False
    other: OtherSet | None = None

    @property
    def needs_records(self) -> bool:
        return self.tokens is not None or self.repeats or self.other is not None


def judge_split(
    split: Split,
    blocks: Iterator[LineBlock],
    judges_of: Callable[[LineBlock], Judges],
    limits: Limits,
    progress: Callable[[int], None] | None = None,
) -> Judged:
    """Judge a split's lines, which `blocks` holds, each block by the judges that are given for it."""
    judged = Judged(Tally(limits))
    tally = judged.tally
    try:
        for block in blocks:
            first, judges = tally.lines, judges_of(block)
            if first == 0 and split.kind == "jsonl" and block.first_byte == _BOM_BYTES:
                tally.add_once("J021", 0)
            good = judges.records.judge(block, tally, want_good=judges.needs_records)
            _judge_more(good, block, first, judges, judged)
            tally.end_block()
            if progress is not None:
                progress(block.width)
            if tally.is_full:
                judged.is_cut = next(iter(blocks), None) is not None
                break
    except FileError as problem:
        judged.fault = fault_of(problem, split.file)
    return judged


def _judge_more(good: list[Good], block: LineBlock, first: int, judges: Judges, judged: Judged) -> None:
    """The rules that need more than one record, or its tokens."""
    if judges.tokens is not None:
        judges.tokens.judge(good, block, first, judged.tally)
    conversations = [one.conversation for one in good]
    if judges.repeats:
        judged.prints.add(conversations, [first + one.at for one in good])
    if judges.other is None:
        return
    told = set()
    for index, one in enumerate(good):
        place = judges.other.same_prompt(one.conversation)
        if place is not None:
            told.add(index)
            judged.tally.add("D004", f"the same prompt stands at {place}", first + one.at, 1)
    for overlap in judges.other.overlaps(conversations):
        if overlap.at not in told:
            judged.tally.add("D005", str(overlap), first + good[overlap.at].at, 1)


def fault_of(problem: FileError, file: str) -> Fault:
    """A FileError's rule, and its message without the file's name and place."""
    place = ":".join(str(part) for part in (file, problem.line, problem.column) if part is not None)
    return Fault(problem.code, str(problem).removeprefix(f"{place}: "), problem.line, problem.column)


def blocks_of(split: Split) -> Iterator[LineBlock]:
    return read_blocks(split, _BLOCK_BYTES)
