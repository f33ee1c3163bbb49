"""Whether a run may go on with another one's work: only if it was asked for the same, of the same inputs."""

import hashlib
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sftcli import __version__
from sftcli.errors import EnvironmentFault
from sftcli.manifest import libraries, written_config
from sftcli.templates import PromptTemplate, RoleTemplate

if TYPE_CHECKING:
    from sftcli.job import Job
    from sftcli.sources import Sources

Asked = Mapping[str, Any]  # what a run was asked for, as plain data

_INPUTS = ("inputs",)
_OTHER = {(True, True): "has changed", (True, False): "is not read any more", (False, True): "is new"}
# What says only what becomes of bad records: splits that have none come to the same.
_OF_BAD_RECORDS = ("on_error", "max_bad")


def asked_of(sources: "Sources") -> dict[str, Any]:
    """All that decides what the splits of a run come to.

    Raises EnvironmentFault for an input that changes already.
    """
    config = {
        key: value for key, value in written_config(sources.config).items() if key not in _OF_BAD_RECORDS
    }
    return {
        "sftcli": __version__,
        "libraries": libraries(sources.config.dedup),
        "config": config,
        "tokenizer": _digest(sources.tokenizer.saved_files()),
        "templates": {source.name: _template(source.run.job) for source in sources.all},
        "inputs": _inputs_as_planned(sources),
        "splits": len(sources.splits),
    }


def _inputs_as_planned(sources: "Sources") -> dict[str, dict[str, int] | None]:
    """The states of the inputs. Raises EnvironmentFault for one that grew since its splits were planned."""
    states = input_states(sources)
    ends = {split.file: split.end for split in sources.splits}
    for file, state in states.items():
        if state is not None and ends[file] not in (None, state["bytes"]):
            raise EnvironmentFault(changed(file))
    return states


def input_states(sources: "Sources") -> dict[str, dict[str, int] | None]:
    """The size and the time of the last change of every input; None for a pipe, which is read only once."""
    return {file: input_state(file) for file in sources.files}


def check_inputs_unchanged(before: Mapping[str, Any], sources: "Sources") -> None:
    """Raise EnvironmentFault where an input is not what it was when the run began."""
    for file, now in input_states(sources).items():
        if before.get(file) != now:
            raise EnvironmentFault(changed(file))


def changed(file: str) -> str:
    """What is said of an input that is not what it was."""
    return f"{file}: changed while it was read; nothing was written: run again when nothing writes to it"


def differences(before: Asked, now: Asked) -> dict[str, list[str]]:
    """In words, what of two runs is not the same: of their options, and of their inputs."""
    return {"options": list(_other_options(before, now)), "inputs": list(_other_inputs(before, now))}


def _other_options(before: Asked, now: Asked) -> Iterator[str]:
    for key in ("sftcli", "libraries"):
        if before.get(key) != now.get(key):
            yield f"{key} was {_shown(before.get(key), now.get(key))}"
    one, two = _mapping(before, "config"), _mapping(now, "config")
    for key in dict.fromkeys((*one, *two)):
        if one.get(key) != two.get(key) and key not in _INPUTS:
            yield f"{key} was {_said(one.get(key))}, and is {_said(two.get(key))}"
    if before.get("tokenizer") != now.get("tokenizer") and one.get("tokenizer") == two.get("tokenizer"):
        yield "the files of the tokenizer have changed"
    if before.get("templates") != now.get("templates") and one.get("template") == two.get("template"):
        yield "the template, or what is read of the records, has changed"


def _other_inputs(before: Asked, now: Asked) -> Iterator[str]:
    one, two = _mapping(before, "config"), _mapping(now, "config")
    for key in _INPUTS:
        if one.get(key) != two.get(key):
            yield f"{key} was {_said(one.get(key))}, and is {_said(two.get(key))}"
    was, is_ = _mapping(before, "inputs"), _mapping(now, "inputs")
    for file in dict.fromkeys((*was, *is_)):
        if was.get(file) != is_.get(file):
            yield f"the input {file} {_OTHER[file in was, file in is_]}"


def _mapping(asked: Asked, key: str) -> Mapping[str, Any]:
    found = asked.get(key)
    return found if isinstance(found, Mapping) else {}


def _shown(before: object, now: object) -> str:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys((*before, *now)):
            if before.get(name) != now.get(name):
                return f"{name} {before.get(name)}, now {now.get(name)}"
    return f"{before}, now {now}"


def _said(value: object) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def input_state(file: str) -> dict[str, int] | None:
    path = Path(file)
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return {"bytes": status.st_size, "modified": status.st_mtime_ns, "inode": status.st_ino}


def _template(job: "Job") -> str:
    """A digest of what lays out the records, and of what is read of them."""
    layout: Any = job.layout
    if isinstance(layout, RoleTemplate | PromptTemplate):
        text = repr(layout)
    else:
        text = layout.source if layout is not None else ""
    read = {"format": job.record_format, "keep": dict(job.keep)}
    return _digest({"template": text.encode(), "read": msgspec.json.encode(read)})


def _digest(files: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name} {len(files[name])}\n".encode())
        whole.update(files[name])
    return whole.hexdigest()
