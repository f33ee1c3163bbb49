"""The options of `inspect`, and the selection and the form of output that they mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, cast

from sftcli.errors import UsageError
from sftcli.view.find import Wanted, compiled
from sftcli.view.select import MARKS, RANKINGS, Selection, parse_span

Format = Literal["text", "json", "html"]
_FORMATS: dict[str, Format] = {
    "": "text", ".txt": "text", ".json": "json", ".jsonl": "json", ".html": "html", ".htm": "html"
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """The options of `inspect` but for those that say how a record becomes tokens."""

    rows: tuple[int, ...]
    span: str | None
    split: str | None
    sample: int | None
    seed: int
    texts: tuple[str, ...]
    patterns: tuple[str, ...]
    only: tuple[str, ...]
    ids: tuple[str, ...]
    max_rows: int | None
    view: str | None
    against: tuple[str, ...]
    loss: str | None
    format_: str | None
    output: str | None
    color: str
    pager: bool | None

    def selection(self) -> Selection:
        """Raises UsageError for options that do not go together."""
        rankings = [ranking for ranking in RANKINGS if ranking in self.only]
        self._check(rankings)
        named = self.rows or self.span is not None or self.sample is not None
        searched = self.texts or self.patterns or self.only or self.ids
        return Selection(
            rows=self.rows if named or searched else (0,),
            span=(None, None) if self.span is None else parse_span(self.span),
            sample=self.sample,
            seed=self.seed,
            text=Wanted(self.texts, tuple(map(compiled, self.patterns))),
            marks=tuple(mark for mark in MARKS if mark in self.only),
            ranking=rankings[0] if rankings else None,
            ids=self.ids,
            most=self.max_rows,
        )

    def _check(self, rankings: Sequence[str]) -> None:
        if self.rows and self.span is not None:
            raise UsageError("--row and --rows: name the rows with one of the two")
        if len(rankings) > 1:
            raise UsageError(f"--only {rankings[0]} and --only {rankings[1]}: rows have one order; take one")
        if self.rows and (self.sample is not None or rankings):
            other = "--sample" if self.sample is not None else f"--only {rankings[0]}"
            raise UsageError(f"{other}: --row names its rows already; use --rows A:B, or leave --row out")
        for flag, texts in (("--find", self.texts), ("--find-regex", self.patterns)):
            if "" in texts:
                raise UsageError(f"{flag}: the text is empty, and every row would hold it")

    def form(self) -> Format:
        """text, json or html. Raises UsageError for options that are for another one."""
        found = self._format()
        if found != "text":
            for flag, given in (("--view", self.view), ("--against", self.against)):
                if given:
                    raise UsageError(f"{flag}: is for text, and the format is {found}; leave one of them out")
        if self.view == "diff" and not self.against:
            raise UsageError(
                "--view diff: say what to compare with: --against KEY=VALUE, or --against FOLDER"
            )
        if self.against and self.view not in (None, "diff"):
            raise UsageError(f"--against: is shown by --view diff; leave --view {self.view} out")
        if self.against and self.loss is not None:
            raise UsageError("--against: shows no losses; leave --loss out, or inspect one side at a time")
        return found

    def _format(self) -> Format:
        """What --format says, or how the file's name ends; the two must not contradict."""
        ending = PurePath(self.output).suffix.lower() if self.output else ""
        meant = _FORMATS.get(ending)
        if self.format_ is None:
            if meant is None:
                raise UsageError(
                    f"-o {self.output}: rows are written as .txt, .json, .jsonl, .html or .htm; name the "
                    "file so, or add --format"
                )
            return meant
        if ending and meant not in (None, self.format_):
            raise UsageError(
                f"-o {self.output}: a name for {meant}, and --format is {self.format_}; leave one of them out"
            )
        return cast(Format, self.format_)
