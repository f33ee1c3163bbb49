"""manifest.json -> Facts: what a finished folder says of itself, checked for its shape and sums."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec

from sftcli.errors import EnvironmentFault, UsageError
from sftcli.findings.finding import Finding
from sftcli.findings.message import counted
from sftcli.manifest import FORMAT_VERSION, MANIFEST, is_sealed, manifest_bytes, refuse_unfinished
from sftcli.prepared import Facts

_AGAIN = "prepare the folder again, or fetch an undamaged copy"


def require_manifest(folder: Path) -> None:
    """Raise EnvironmentFault where a folder holds no finished dataset, UsageError where it is none."""
    if not folder.is_dir():
        what = "a file, not a folder" if folder.exists() else "no such folder"
        raise UsageError(f"{folder}: {what}; name the folder that `sftcli prepare -o` wrote")
    if not (folder / MANIFEST).exists():
        refuse_unfinished(folder)
        raise EnvironmentFault(
            f"{folder}: incomplete: it has no {MANIFEST}, so no run has come to its end here; "
            f"run the same `sftcli prepare ... -o {folder}` again"
        )


def read_facts(folder: Path) -> tuple[Facts | None, list[Finding]]:
    """What the manifest says, or None where that cannot be known, and what is wrong with it.

    Raises EnvironmentFault where the file cannot be read.
    """
    place = str(folder / MANIFEST)
    try:
        raw = manifest_bytes(folder / MANIFEST)
        data = json.loads(raw.decode())
        unchanged = isinstance(data, dict) and is_sealed(data, raw)
        facts = msgspec.convert(data, Facts)
    except OSError as problem:
        raise EnvironmentFault(f"{place}: cannot be read: {problem.strerror or problem}") from None
    except (ValueError, RecursionError, msgspec.ValidationError) as problem:
        return None, [Finding("V001", f"no manifest of sftcli: {problem}; {_AGAIN}", place)]
    found = []
    if not unchanged:
        message = f"not as it was written: its checksum does not fit; {_AGAIN}"
        found.append(Finding("V002", message, place))
    if facts.format_version != FORMAT_VERSION:
        message = (
            f"has the format {facts.format_version}, and sftcli {facts.sftcli} made it; "
            f"this sftcli reads format {FORMAT_VERSION}: take the one that made it"
        )
        return None, [*found, Finding("V001", message, place)]
    bad_names = [Finding("V001", message, place) for message in _bad_names(facts)]
    return (None if bad_names else facts), found + bad_names


def _bad_names(facts: Facts) -> Iterator[str]:
    """Files that are none of this folder's are never looked at: a manifest may come from anyone."""
    for name in facts.files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name or name in ("", ".", MANIFEST):
            yield f"lists {name!r}, which names no file in this folder; {_AGAIN}"
    shards = Counter(shard.file for shard in facts.shards)
    for name, count in shards.items():
        if name not in facts.files:
            yield f"lists the shard {name!r}, and not its size and sha256; {_AGAIN}"
        if count > 1:
            yield f"lists the shard {name!r} {count} times; {_AGAIN}"
    for name in facts.files:
        # Readers take every shard of the folder.
        if name.endswith((".parquet", ".arrow")) and name not in shards:
            yield f"lists the file {name!r}, and not how many rows it has; {_AGAIN}"


def check_sums(folder: Path, facts: Facts) -> Iterator[Finding]:
    """Every line that was read is found again, and the shards make up the whole."""
    counts = facts.counts
    parts = {
        "rows" if counts.standing == counts.rows else "examples": counts.standing,
        "dropped": sum(counts.dropped.values()),
        "rejected": sum(counts.rejected.values()),
        "blank": counts.blank,
    }
    place = str(folder / MANIFEST)
    if sum(parts.values()) != counts.lines:
        told = ", ".join(f"{number:,} {name}" for name, number in parts.items())
        message = (
            f"{counted(counts.lines, 'line')} were read, and {sum(parts.values()):,} accounted for ({told})"
        )
        yield Finding("V017", f"{message}; prepare the folder again", place)
    for name in ("rows", "tokens", "trained_tokens"):
        whole = getattr(counts, name)
        added = sum(getattr(shard, name) for shard in facts.shards)
        if whole != added:
            told = f"counts say {whole:,} {name.replace('_', ' ')}, and its shards add up to {added:,}"
            yield Finding("V017", f"its {told}; prepare the folder again", place)
