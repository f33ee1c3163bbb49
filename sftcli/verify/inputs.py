"""Inputs against the manifest: still there, with the same bytes."""

import os
from collections.abc import Iterator
from pathlib import Path

from sftcli.findings.finding import Finding
from sftcli.manifest import file_facts
from sftcli.prepared import Facts


def check_inputs(facts: Facts) -> Iterator[Finding]:
    """Names are taken from the folder that we are in, as prepare took them. All bytes are read."""
    for source in facts.inputs:
        path = Path(source.file)
        if source.sha256 is None or source.bytes is None:
            message = "was standard input or a pipe, of which no hash was kept: it cannot be compared"
            yield Finding("V022", message, source.file)
        elif not path.is_file():
            message = (
                f"is missing (looked for {os.path.abspath(source.file)}); run verify in the folder that "
                "prepare ran in, or bring the input back"
            )
            yield Finding("V022", message, source.file)
        else:
            difference = _difference(path, source.bytes, source.sha256)
            if difference is not None:
                yield Finding("V021", f"{difference}; prepare the folder again", source.file)


def _difference(path: Path, size: int, sha256: str) -> str | None:
    try:
        found = path.stat().st_size
        if found != size:
            return f"has {found:,} bytes, and had {size:,} when the folder was prepared"
        digest = file_facts(path)["sha256"]
    except OSError as problem:
        return f"cannot be read: {problem.strerror or problem}"
    if digest == sha256:
        return None
    return (
        f"has other bytes than when the folder was prepared (sha256 {digest[:12]}..., then {sha256[:12]}...)"
    )
