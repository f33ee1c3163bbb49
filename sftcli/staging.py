"""OUT/.staging: what a run has made so far, and what a later one finds of it.

    lock         who is writing (see commit)
    run.json     what the run was asked for: another one goes on with its work only if it is asked the same
    new/         the files of the dataset that is being made
    aside/NNNNN  rows of a split that wait for the second pass
    done/NNNNN   what became of a split whose files are whole, with their hashes
    old/         the dataset that is being replaced

A split is done when its file in done/ is there, whole by its own checksum, and what it says of the split's
files is so. What a crash has cut short is found by that and made again. Nobody vouches for a staging folder
that is there: no name in it leads outside, and a link is not followed but removed.
"""

import hashlib
import os
import shutil
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, get_origin

import msgspec
import numpy as np

from sftcli.arrange.sides import Given
from sftcli.errors import (
    BadRecordsError,
    EnvironmentFault,
    InternalError,
    OutputError,
    SftcliError,
    TooManyBadError,
)
from sftcli.failpoints import reach
from sftcli.lock import Lock
from sftcli.manifest import MANIFEST, RUN, STAGING, file_facts, pretty_json, read_manifest, unfinished_run
from sftcli.plan import Split
from sftcli.report import SplitReport
from sftcli.resume import Asked, differences, input_state

# What a later run may do better; an OutputError after the work is of a folder that must be put in order.
_STOPPED = (BadRecordsError, TooManyBadError, EnvironmentFault, OutputError)
_INPUTS = "inputs"  # ended a run that a later one need not have the same of


class Done(msgspec.Struct, kw_only=True):
    """What became of one split.

    `input` is the state of its file. `report` are the counts of what was read, `shards` those of the rows
    of each shard by its side, `given` of all rows before packing. `files` maps the files that were made, that
    of its bad records among them, below the staging folder, to their bytes and sha256. `engine` encoded it;
    `warning` is why it was not the fast one. `on_error` is what the run did with bad records.
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
    """The staging folder of `out`. `command` is what the user can enter again to go on.

    `lock` is that of the folder, in the process that runs.
    """

    def __init__(self, out: Path, lock: Lock | None = None) -> None:
        self.out, self.root, self.lock = out, out / STAGING, lock
        self.new, self.aside, self.done = self.root / "new", self.root / "aside", self.root / "done"
        self.has_work = self._begun = False
        self.command = ""
        self.warning: str | None = None
        self.resumed = 0  # splits that an earlier run has done
        self._note: dict[str, Any] = {}
        self._was_there = unfinished_run(out) is not None

    def share(self) -> str:
        """What other processes `join` with that write here too."""
        if self.lock is None:
            raise InternalError("the lock is shared by a process that does not have it")
        return self.lock.share()

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

        Where its inputs ended that one, they may have been mended since: the splits of the others are.
        Other options then are no mistake either, but need other work.
        """
        was = before.get("asked")
        was = was if isinstance(was, dict) else {}
        different = differences(was, asked)
        told = "; ".join(different["options"] + different["inputs"])
        if before.get("ended_by") == _INPUTS and not resume:
            if different["options"]:
                self.warning = (
                    f"begun anew, since what the last run into {self.out} has done is of no use: {told}"
                )
            return not different["options"] and bool(was.get("splits") == asked["splits"])
        if told:
            command = before.get("command") or "the command that began it"
            finish = f"Finish that one with: {command}\nOr begin" if different["options"] else "Begin"
            raise OutputError(
                f"{self.out}: holds the unfinished work of another run: {told}. "
                f"{finish} anew with --no-resume, which throws its work away"
            )
        return True

    def remove_links(self) -> None:
        """Remove what no run makes: links, pipes and the like. Old files keep their links: see commit."""
        for root, folders, files in os.walk(self.root):
            for name in (*folders, *files):
                path = Path(root, name)
                if not _is_ordinary(path):
                    path.unlink()
            if Path(root) == self.root and "old" in folders:
                folders.remove("old")

    def clear(self) -> None:
        """Throw away all but the lock."""
        for name in ("new", "aside", "done"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        (self.root / RUN).unlink(missing_ok=True)
        self.has_work = self._was_there = False

    def save(self, done: Done, rejects: bytes) -> None:
        """Keep what became of a split whose files are written; `rejects` are its bad records as lines."""
        for name in done.files:
            reach("split.written", name)
        path = self.rejects_of(done.number)
        path.unlink(missing_ok=True)
        if rejects:
            path.write_bytes(rejects)
            done.files[path.relative_to(self.root).as_posix()] = file_facts(path)
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
            same = all(
                _is_own(name) and file_facts(self.root / name) == facts for name, facts in done.files.items()
            )
        except _UNREADABLE:
            return None
        same &= done.number == number and done.split == split and done.input == input_state(split.file)
        return done if same and done.is_good_for(on_error) else None

    def keep_only(self, kept: Iterable[Done]) -> None:
        """Remove what is of none of these splits."""
        names = {name for done in kept for name in (f"done/{done.number:05d}.json", *done.files)}
        for folder in (self.new, self.aside, self.done):
            for root, _, files in os.walk(folder):
                for path in (Path(root, file) for file in files):
                    if path.relative_to(self.root).as_posix() not in names:
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

    def will_make(self, sha256: str) -> None:
        """Note which manifest the commit that begins now puts into the folder in the end."""
        self._note["makes"] = sha256
        self._write_note()

    def is_committed(self) -> bool:
        """Whether the dataset that was made here is in its place."""
        makes = (unfinished_run(self.out) or {}).get("makes")
        if makes is None or not (self.out / MANIFEST).is_file():
            return False
        try:
            return bool(read_manifest(self.out).get("sha256") == makes)
        except SftcliError:
            return False

    def _write_note(self) -> None:
        _write_whole(self.root / RUN, pretty_json(self._note))

    def outlasts(self, problem: BaseException) -> bool:
        """Whether a later run may go on after this one ended so."""
        if self.is_committed():
            return False
        if not self._begun:
            return self._was_there
        stopped = isinstance(problem, _STOPPED) or not isinstance(problem, SftcliError)
        if not (stopped and any(self._is_good(number) for number in self._numbers())):
            return False
        if isinstance(problem, BadRecordsError | TooManyBadError) or self._inputs_changed():
            with suppress(OSError):
                self._note["ended_by"] = _INPUTS
                self._write_note()
        return True

    def _inputs_changed(self) -> bool:
        inputs = self._note["asked"]["inputs"]
        return any(input_state(file) != state for file, state in inputs.items())

    def _is_good(self, number: int) -> bool:
        try:
            done = self.load(number)
        except _UNREADABLE:
            return False
        return not done.report.rejected or done.on_error != "fail"

    def _path(self, number: int) -> Path:
        return self.done / f"{number:05d}.json"

    def _numbers(self) -> Iterable[int]:
        if self.done.is_dir():
            for path in self.done.glob("*.json"):
                if path.stem.isdecimal():
                    yield int(path.stem)


class _Sealed(msgspec.Struct):
    """A Done as it is kept; a bit that a disk has turned in it would count otherwise."""

    sha256: str
    done: msgspec.Raw


_UNREADABLE = (OSError, msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError)


def is_plain(name: str) -> bool:
    """Whether a name from a file leads to a place below the folder that it is taken in, links apart."""
    parts = name.split("/")
    longest = max(len(part.encode(errors="replace")) for part in parts)
    strange = {"", ".", ".."} & set(parts) or "\0" in name or longest > 255 or len(parts) > 9
    return not strange and parts[0] != STAGING


def _is_own(name: str) -> bool:
    return is_plain(name) and name.startswith(("new/", "aside/", "done/"))


def _is_ordinary(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _write_whole(path: Path, raw: bytes) -> None:
    """A file that is there as a whole or not at all."""
    part = path.with_suffix(".part")
    part.write_bytes(raw)
    os.replace(part, path)


def _encode(done: Done) -> bytes:
    raw = msgspec.json.encode(done, enc_hook=lambda value: value.tolist())
    return msgspec.json.encode(_Sealed(hashlib.sha256(raw).hexdigest(), msgspec.Raw(raw)))


def _decode(raw: bytes) -> Done:
    sealed = msgspec.json.decode(raw, type=_Sealed)
    if hashlib.sha256(sealed.done).hexdigest() != sealed.sha256:
        raise msgspec.ValidationError("not what was written")
    return msgspec.json.decode(sealed.done, type=Done, dec_hook=_hook)


def _hook(kind: Any, value: Any) -> Any:
    return np.array(value, np.int64) if (get_origin(kind) or kind) is np.ndarray else Counter(value)
