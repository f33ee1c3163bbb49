"""OUT/.staging: what a run has made so far, and what a later one finds of it.

    lock         who is writing (see commit)
    run.json     what the run was asked for: another one goes on with its work only if it is asked the same
    new/         the files of the dataset that is being made
    aside/NNNNN  rows of a split that wait for the second pass
    done/NNNNN   what became of a split whose files are whole, with their hashes
    old/         the dataset that is being replaced

A split is done when its file in done/ is there and what it says of the split's files is so. What a
crash has cut short is found by that and made again.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, get_origin

import msgspec
import numpy as np

from sftcli.arrange.sides import Given
from sftcli.errors import BadRecordsError, EnvironmentFault, OutputError, SftcliError, TooManyBadError
from sftcli.failpoints import reach
from sftcli.manifest import RUN, STAGING, file_facts, pretty_json, unfinished_run
from sftcli.plan import Split
from sftcli.report import SplitReport
from sftcli.resume import Asked, differences, input_state

_STOPPED = (BadRecordsError, TooManyBadError, EnvironmentFault)  # what a later run may do better


_BAD_RECORDS = "bad records"


class Done(msgspec.Struct, kw_only=True):
    """What became of one split.

    `input` is the state of its file. `report` are the counts of what was read, `shards` those of the rows
    of each shard by its side, `given` of all rows before packing. `files` maps the files that were made,
    below the staging folder, to their bytes and sha256. `engine` encoded it; `warning` is why it was not the
    fast one. `on_error` is what the run did with bad records.
    """

    number: int
    split: Split
    input: dict[str, int] | None
    on_error: str
    report: SplitReport
    shards: dict[str, SplitReport] = {}
    given: Given = msgspec.field(default_factory=Given)
    files: dict[str, dict[str, Any]] = {}
    engine: str = ""
    warning: str | None = None

    def is_good_for(self, on_error: str) -> bool:
        """Whether a run that treats bad records so would have come to the same."""
        return not self.report.rejected or self.on_error == on_error != "fail"


class Staging:
    """The staging folder of `out`. `command` is what the user can enter again to go on."""

    def __init__(self, out: Path) -> None:
        self.out, self.root = out, out / STAGING
        self.new, self.aside, self.done = self.root / "new", self.root / "aside", self.root / "done"
        self.has_work = self._begun = False
        self.command = ""
        self.warning: str | None = None
        self._note: dict[str, Any] = {}
        self._was_there = unfinished_run(out) is not None

    def path_of(self, file: str) -> Path:
        """Where a file of the new dataset is made; its folder is there."""
        path = self.new / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def begin(self, asked: Asked, command: str, resume: bool | None) -> None:
        """Go on with the work that is there, or make room for a new one.

        Raises OutputError where that work is of a run that was asked for something else (unless `resume`
        is False), or where there is none and `resume` is True.
        """
        before = unfinished_run(self.out)
        if before is not None and resume is not False and any(self._numbers()):
            self.has_work = self._goes_on(before, asked, resume)
        elif resume:
            raise OutputError(f"{self.out}: holds no unfinished work to resume; leave --resume out")
        self._begun, self.command = True, command
        if not self.has_work:
            self.clear()
        for folder in (self.new, self.aside, self.done):
            folder.mkdir(parents=True, exist_ok=True)
        self._note = {"command": command, "asked": asked}
        self._write_note()

    def _goes_on(self, before: Mapping[str, Any], asked: Asked, resume: bool | None) -> bool:
        """Whether the work of the run `before` is of use to this one.

        Where bad records ended that one, its inputs may have been mended since: the splits of the others are.
        Other options then are no mistake either, but need other work.
        """
        was = before.get("asked", {})
        different = differences(was, asked)
        told = "; ".join(different["options"] + different["inputs"])
        if before.get("ended_by") == _BAD_RECORDS and not resume:
            if different["options"]:
                self.warning = (
                    f"begun anew, since what the last run into {self.out} has done is of no use: {told}"
                )
            return not different["options"] and bool(was.get("splits") == asked["splits"])
        if told:
            raise OutputError(
                f"{self.out}: holds the unfinished work of another run: {told}. "
                f"Finish that one with: {before.get('command') or 'the command that began it'}\n"
                "Or begin anew with --no-resume, which throws its work away"
            )
        return True

    def clear(self) -> None:
        """Throw away all but the lock."""
        for name in ("new", "aside", "done"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        (self.root / RUN).unlink(missing_ok=True)
        self.has_work = False

    def save(self, done: Done, rejects: bytes) -> None:
        """Keep what became of a split whose files are written; `rejects` are its bad records as lines."""
        for name in done.files:
            reach("split.written", name)
        if rejects:
            self.rejects_of(done.number).write_bytes(rejects)
        _write_whole(self._path(done.number), _encode(done))
        reach("split.done", str(done.number))

    def load(self, number: int) -> Done:
        """What became of a split that this run has done."""
        return _decode(self._path(number).read_bytes())

    def finished(self, number: int, split: Split, on_error: str) -> Done | None:
        """What became of a split in the run before; None where it must be done (again)."""
        if not self.has_work:
            return None
        try:
            done = self.load(number)
            same = all(file_facts(self.root / name) == facts for name, facts in done.files.items())
        except (OSError, msgspec.MsgspecError):
            return None
        same &= done.split == split and done.input == input_state(split.file)
        return done if same and done.is_good_for(on_error) else None

    def keep_only(self, kept: Iterable[Done]) -> None:
        """Remove what is of none of these splits."""
        dones = list(kept)
        numbers = {done.number for done in dones}
        for number in list(self._numbers()):
            if number not in numbers:
                self._path(number).unlink()
        names = {name for done in dones for name in done.files}
        for root, _, files in os.walk(self.root):
            for file in files:
                path = Path(root) / file
                name = path.relative_to(self.root).as_posix()
                if name.startswith(("new/", "aside/")) and name not in names:
                    path.unlink()

    @contextmanager
    def scratch(self, number: int) -> Iterator[Path]:
        """A file to write to that is of no use afterwards."""
        path = self.root / f"scratch-{number:05d}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def rejects_of(self, number: int) -> Path:
        return self.done / f"{number:05d}.rejects"

    def _write_note(self) -> None:
        _write_whole(self.root / RUN, pretty_json(self._note))

    def is_empty(self) -> bool:
        """Whether no file of a dataset is in it."""
        return not any(files for name in (self.new, self.aside) for _, _, files in os.walk(name))

    def outlasts(self, problem: BaseException) -> bool:
        """Whether a later run may go on after this one ended so."""
        if not self._begun:
            return self._was_there
        stopped = isinstance(problem, _STOPPED) or not isinstance(problem, SftcliError)
        if not (stopped and any(self._is_good(number) for number in self._numbers())):
            return False
        if isinstance(problem, BadRecordsError | TooManyBadError):
            with suppress(OSError):
                self._note["ended_by"] = _BAD_RECORDS
                self._write_note()
        return True

    def _is_good(self, number: int) -> bool:
        try:
            done = self.load(number)
        except (OSError, msgspec.MsgspecError):
            return False
        return not done.report.rejected or done.on_error != "fail"

    def _path(self, number: int) -> Path:
        return self.done / f"{number:05d}.json"

    def _numbers(self) -> Iterable[int]:
        if self.done.is_dir():
            for path in self.done.glob("*.json"):
                if path.stem.isdecimal():
                    yield int(path.stem)


def _write_whole(path: Path, raw: bytes) -> None:
    """A file that is there as a whole or not at all."""
    part = path.with_suffix(".part")
    part.write_bytes(raw)
    os.replace(part, path)


def _encode(done: Done) -> bytes:
    return msgspec.json.encode(done, enc_hook=lambda value: value.tolist())


def _decode(raw: bytes) -> Done:
    return msgspec.json.decode(raw, type=Done, dec_hook=_hook)


def _hook(kind: Any, value: Any) -> Any:
    return np.array(value, np.int64) if (get_origin(kind) or kind) is np.ndarray else Counter(value)
