"""One shard against the manifest: its columns, its rows, and how many there are."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path

from sftcli.errors import EnvironmentFault
from sftcli.findings.finding import Finding
from sftcli.findings.message import counted
from sftcli.prepared import ShardFacts
from sftcli.verify.rows import UnitCheck, check_unit, merged, wrong_names
from sftcli.view.shards import OpenShards

_AGAIN = "prepare the folder again"
# Of these `inspect` shows the row; the others it cannot read.
_TO_BE_SEEN = ("V010", "V011", "V012", "V013", "V014")


def check_shard(
    folder: Path,
    facts: ShardFacts,
    first_row: int,
    vocabulary: int,
    workers: Executor,
    tell: Callable[[int], None],
) -> Iterator[Finding]:
    """Judge a shard whose bytes are those listed; `first_row` is its first row's number in the folder."""
    import pyarrow as pa

    path = folder / facts.file
    opened = OpenShards()
    try:
        shard = opened.at(path)
        if (wrong := wrong_names(shard.columns)) is not None:
            yield Finding("V007", f"{wrong}; {_AGAIN}", str(path))
            return
        units = range(len(shard.bounds) - 1)
        checks = workers.map(lambda unit: check_unit(opened.at(path), unit, vocabulary), units)
        whole = merged(_told(checks, tell))
    except (EnvironmentFault, pa.ArrowException) as problem:
        # Its bytes are those that were listed, so it never was a shard.
        reason = str(problem).removeprefix(f"{path}: ")
        yield Finding("V006", f"{reason}; {_AGAIN}", str(path))
        return
    for code, fault in sorted(whole.faults.items()):
        if code == "V007":  # all of its rows
            yield Finding(code, f"{fault.detail}; {_AGAIN}", str(path))
            continue
        row = first_row + fault.first
        more = f" (and in {counted(fault.rows - 1, 'more row')})" if fault.rows > 1 else ""
        see = f"; see `sftcli inspect {folder} --row {row}`" if code in _TO_BE_SEEN else ""
        yield Finding(code, f"row {row}: {fault.detail}{more}{see}; {_AGAIN}", str(path))
    yield from _counts(path, facts, whole)


def _told(checks: Iterator[UnitCheck], tell: Callable[[int], None]) -> Iterator[UnitCheck]:
    for check in checks:
        tell(check.rows)
        yield check


def _counts(path: Path, facts: ShardFacts, whole: UnitCheck) -> Iterator[Finding]:
    if whole.rows != facts.rows:
        told = f"has {counted(whole.rows, 'row')}, and the manifest says {facts.rows:,}"
        yield Finding("V015", f"{told}; {_AGAIN}", str(path))
    if {"V007", "V008", "V009"} & whole.faults.keys():
        return  # not all of it was counted
    if (whole.tokens, whole.trained) != (facts.tokens, facts.trained_tokens):
        told = (
            f"has {counted(whole.tokens, 'token')}, {whole.trained:,} of them trained, and the manifest "
            f"says {facts.tokens:,} and {facts.trained_tokens:,}"
        )
        yield Finding("V016", f"{told}; {_AGAIN}", str(path))
