"""One shard against the manifest: its columns, its rows, and how many there are."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor
from pathlib import Path

from sftcli.errors import EnvironmentFault
from sftcli.findings.finding import Finding
from sftcli.findings.message import counted
from sftcli.prepared import Facts, ShardFacts
from sftcli.verify.rows import Contract, UnitCheck, check_unit, merged, wrong_names
from sftcli.view.shards import OpenShards

_AGAIN = "prepare the folder again"
# Of these `inspect` shows the row; the others it cannot read.
_TO_BE_SEEN = ("V010", "V011", "V012", "V013", "V014", "V026", "V027", "V028", "V029")
_UNCOUNTED = {"V007", "V008", "V009"}


def check_shard(
    folder: Path,
    facts: ShardFacts,
    first_row: int,
    contract: Contract,
    workers: Executor,
    tell: Callable[[int], None],
) -> Generator[Finding, None, int | None]:
    """Judge a shard whose bytes are those listed; `first_row` is its first row's number in the folder.

    Returns how many documents it has, None where that cannot be known.
    """
    import pyarrow as pa

    path = folder / facts.file
    opened = OpenShards(contract.layout)
    try:
        shard = opened.at(path)
        if (wrong := wrong_names(shard.columns, contract.layout)) is not None:
            yield Finding("V007", f"{wrong}; {_AGAIN}", str(path))
            return None
        units = range(len(shard.bounds) - 1)
        checks = workers.map(lambda unit: check_unit(opened.at(path), unit, contract), units)
        whole = merged(_told(checks, tell))
    except (EnvironmentFault, pa.ArrowException) as problem:
        # Its bytes are those that were listed, so it never was a shard.
        reason = str(problem).removeprefix(f"{path}: ")
        yield Finding("V006", f"{reason}; {_AGAIN}", str(path))
        return None
    for code, fault in sorted(whole.faults.items()):
        if code == "V007":  # all of its rows
            yield Finding(code, f"{fault.detail}; {_AGAIN}", str(path))
            continue
        row = first_row + fault.first
        more = f" (and in {counted(fault.rows - 1, 'more row')})" if fault.rows > 1 else ""
        see = f"; see `sftcli inspect {folder} --row {row}`" if code in _TO_BE_SEEN else ""
        yield Finding(code, f"row {row}: {fault.detail}{more}{see}; {_AGAIN}", str(path))
    yield from _counts(path, facts, whole)
    return None if _UNCOUNTED & whole.faults.keys() else whole.documents


def check_examples(folder: Path, facts: Facts, contract: Contract, documents: int) -> Iterator[Finding]:
    """Whether as many records stand in the shards as the manifest says, where each stands once and whole."""
    packing = facts.config.get("packing", "none")
    whole = packing != "wrapped" and contract.layout.kind != "steps" and not facts.config.get("sources")
    if whole and documents != facts.counts.standing:
        what = "document" if contract.layout.packed else "row"
        told = f"has {counted(documents, what)}, and its manifest says {facts.counts.standing:,} examples"
        yield Finding("V016", f"{told}; {_AGAIN}", str(folder))


def _told(checks: Iterator[UnitCheck], tell: Callable[[int], None]) -> Iterator[UnitCheck]:
    for check in checks:
        tell(check.rows)
        yield check


def _counts(path: Path, facts: ShardFacts, whole: UnitCheck) -> Iterator[Finding]:
    if whole.rows != facts.rows:
        told = f"has {counted(whole.rows, 'row')}, and the manifest says {facts.rows:,}"
        yield Finding("V015", f"{told}; {_AGAIN}", str(path))
    if _UNCOUNTED & whole.faults.keys():
        return  # not all of it was counted
    if (whole.tokens, whole.trained) != (facts.tokens, facts.trained_tokens):
        told = (
            f"has {counted(whole.tokens, 'token')}, {whole.trained:,} of them trained, and the manifest "
            f"says {facts.tokens:,} and {facts.trained_tokens:,}"
        )
        yield Finding("V016", f"{told}; {_AGAIN}", str(path))
