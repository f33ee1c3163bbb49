"""manifest.json: what a dataset is, where it came from, and the sums that show that nothing is lost."""

import hashlib
import json
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sftcli import __version__
from sftcli.errors import EnvironmentFault, OutputError
from sftcli.plan import STDIN
from sftcli.report import SplitReport

if TYPE_CHECKING:
    from threading import Event

    from sftcli.config import Config
    from sftcli.sources import Sources

MANIFEST = "manifest.json"
STAGING = ".staging"  # the folder in the output in which it is made
RUN = "run.json"  # in there: what is made, and by which command
FORMAT_VERSION = 1
_MOST_BYTES = 256 << 20  # a million shards and more
# Delete, C1 controls, what takes no room, marks of direction, separators of lines, halves of characters.
_UNSAFE = re.compile("[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")
_NOT_WRITTEN = ("output", "num_proc")
_LIBRARIES = ("fastokens", "jinja2", "msgspec", "pyarrow", "tokenizers")
_FOR_NEAR = ("rensa",)  # which finds what near duplicates are looked for among


def make_manifest(
    sources: "Sources",
    engine: str,
    inputs: Sequence[dict[str, Any]],
    shards: Sequence[dict[str, Any]],
    sides: Mapping[str, SplitReport],
    counts: SplitReport,
    files: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """The manifest of a run. It holds no time, host, worker count or folder: equal runs, equal bytes.

    `engine` encoded it. `shards` are in the order of their names. `files` maps every file of the folder
    but the manifest itself to its bytes and sha256. The last key is the checksum of the rest: see `sealed`.
    """
    tokenizer = sources.tokenizer
    rest = {
        "format_version": FORMAT_VERSION,
        "sftcli": __version__,
        "libraries": libraries(sources.config.dedup),
        "config": written_config(sources.config),
        "record_format": sources.record_format,
        "template": sources.template,
        "tokenizer": {
            "name": tokenizer.name,
            "sha256": tokenizer.sha256,
            "size": tokenizer.size,
            "added_tokens": [{"text": text, "id": token_id} for text, token_id in tokenizer.added],
            "special_tokens": {name: text for name, text in tokenizer.specials.items() if text is not None},
        },
        "engine": engine,
        "inputs": list(inputs),
        "shards": list(shards),
        "counts": counts.counts(),
        **({"splits": side_facts(sides)} if len(sides) > 1 else {}),
        **({"sources": source_facts(sources)} if sources.config.sources else {}),
        "files": files,
    }
    return sealed(rest)


def written_config(config: "Config") -> dict[str, Any]:
    """A config as plain data, without what changes no byte: where the output is, and who makes it."""
    data: dict[str, Any] = msgspec.to_builtins(config)
    return {key: value for key, value in data.items() if key not in _NOT_WRITTEN}


def side_facts(sides: Mapping[str, SplitReport]) -> dict[str, dict[str, int]]:
    """What stands in each of `train` and `validation`; `records` are counted as often as they stand."""
    return {
        side: {
            "records": counts.given_rows,
            "rows": counts.rows,
            "tokens": counts.tokens,
            "trained_tokens": counts.trained_tokens,
        }
        for side, counts in sides.items()
    }


def source_facts(sources: "Sources") -> list[dict[str, Any]]:
    """What became of each source's records, and its share of all rows and tokens, before they are packed."""
    rows = sum(source.given.rows for source in sources.all)
    tokens = sum(source.given.tokens for source in sources.all)
    return [
        {
            "name": source.name,
            "template": source.run.job.template,
            "record_format": source.run.job.record_format,
            "lines": source.counts.lines,
            "blank": source.counts.blank,
            "examples": source.counts.examples,
            "dropped": dict(sorted(source.counts.dropped.items())),
            "rejected": dict(sorted(source.counts.rejected.items())),
            "rows": source.given.rows,
            "tokens": source.given.tokens,
            "trained_tokens": source.given.trained_tokens,
            "share_of_rows": round(source.given.rows / max(rows, 1), 6),
            "share_of_tokens": round(source.given.tokens / max(tokens, 1), 6),
        }
        for source in sources.all
    ]


def libraries(dedup: str) -> dict[str, str]:
    """The versions of what, besides sftcli, decides the bytes of a folder; none of what is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in (*_LIBRARIES, *_FOR_NEAR * dedup.startswith("near")):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def sealed(rest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with its own checksum as the last key: the sha256 of the file that it would be without."""
    return {**rest, "sha256": hashlib.sha256(pretty_json(rest)).hexdigest()}


def is_sealed(manifest: Mapping[str, Any], raw: bytes) -> bool:
    """Whether `raw`, of which `manifest` was read, is every byte of it what was written."""
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    return pretty_json(sealed(rest)) == raw


def manifest_bytes(path: Path) -> bytes:
    """The bytes of a manifest. Raises ValueError, in words, for what can be none, and OSError."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        raise ValueError("it is no plain file")
    if status.st_size > _MOST_BYTES:
        raise ValueError(f"it has {status.st_size:,} bytes, and no manifest has over {_MOST_BYTES:,}")
    return path.read_bytes()


def read_manifest(out: Path) -> dict[str, Any]:
    """The manifest of a finished dataset. Raises EnvironmentFault where there is none."""
    path = out / MANIFEST
    try:
        manifest = msgspec.json.decode(manifest_bytes(path), type=dict[str, Any])
    except FileNotFoundError:
        refuse_unfinished(out)
        raise EnvironmentFault(
            f"{out}: has no {MANIFEST}: an incomplete dataset, or none made by sftcli; "
            "run prepare again, or name the folder that it wrote"
        ) from None
    except (OSError, ValueError, RecursionError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise OutputError(f"{path}: cannot be read: {reason}") from None
    if not isinstance(manifest.get("files"), dict) or not isinstance(manifest.get("shards"), list):
        raise OutputError(f"{path}: not a manifest of sftcli")
    return manifest


def refuse_unfinished(out: Path) -> None:
    """Raise EnvironmentFault, with how to go on, where a run into `out` has not come to its end."""
    run = unfinished_run(out)
    if run is not None:
        raise EnvironmentFault(
            f"{out}: incomplete, the run that makes it has not come to its end; "
            f"resume with: {run.get('command') or 'the command that began it'}"
        )


def unfinished_run(out: Path) -> dict[str, Any] | None:
    """What a run into `out` that has not come to its end left in run.json; None where there is none."""
    path = out / STAGING / RUN
    try:
        return None if path.is_symlink() else msgspec.json.decode(manifest_bytes(path), type=dict[str, Any])
    except (OSError, ValueError, RecursionError):
        return None


def input_facts(file: str, source: str | None, stop: "Event | None" = None) -> dict[str, Any]:
    """The name, bytes and sha256 of an input; standard input and pipes have only their name.

    `source` is the name of its source, where there are several. For `stop` see `file_facts`.
    """
    facts = {"file": file} if source is None else {"file": file, "source": source}
    if file == STDIN or not Path(file).is_file():  # a pipe can be read only once
        return facts
    return {**facts, **file_facts(Path(file), stop)}


def file_facts(path: Path, stop: "Event | None" = None) -> dict[str, Any]:
    """{"bytes": ..., "sha256": ...} of one file; of a part of it, where `stop` is set in the meantime."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(1 << 18))
    with path.open("rb", buffering=0) as file:
        while (size := file.readinto(buffer)) and not (stop is not None and stop.is_set()):
            digest.update(buffer[:size])
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def pretty_json(data: Mapping[str, Any]) -> bytes:
    """A JSON file for people to read."""
    return safe_json(data, indent=2) + b"\n"


def safe_json(data: Mapping[str, Any], indent: int | None = None) -> bytes:
    """JSON with what a terminal would act on, or cannot show, as escapes."""
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
