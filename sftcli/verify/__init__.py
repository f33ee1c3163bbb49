"""Whether prepared folders are what their manifests say: `sftcli verify`.

facts    manifest.json: its shape, its checksum, its sums
files    every listed file: there, its size, its sha256; files that are not listed; links; the tokenizer
shard    one shard: its columns, its rows, and how many there are
rows     the rows of a unit: their columns, and how long these are
tokens   the tokens in them: labels, ids, masks, positions, weights
inputs   --strict-inputs: the inputs still have the bytes that they had
sample   --deep N: some rows made again
again    --deep all: all of them made again
remade   what else a manifest says, against that of the folder made again
scratch  where it is made again
"""

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sftcli.cores import cores
from sftcli.errors import OutputError, UsageError
from sftcli.findings.finding import Finding, Findings
from sftcli.findings.message import counted
from sftcli.manifest import MANIFEST
from sftcli.prepared import Facts
from sftcli.rules.folder import RULES
from sftcli.verify.facts import check_sums, read_facts, require_manifest
from sftcli.verify.files import check_file, check_links, check_strays, check_tokenizer
from sftcli.verify.inputs import check_inputs
from sftcli.verify.rows import contract_of
from sftcli.verify.shard import check_examples, check_shard

_WARNINGS = {rule.code for rule in RULES if rule.severity == "warning"}


@dataclass(frozen=True)
class Asked:
    """What is looked at besides the folder: `deep` records made again, drawn with `seed`.

    `rules`: the codes of those that are told.
    """

    deep: int | Literal["all"] | None = None
    seed: int = 0
    strict_inputs: bool = False
    rules: frozenset[str] = frozenset(rule.code for rule in RULES)


def folders_of(written: Sequence[str]) -> list[str]:
    """The folders that arguments stand for: a name that exists is itself, and a pattern all that it fits.

    Raises UsageError where a pattern fits no folder.
    """
    found: list[str] = []
    for name in written:
        fits = [name]
        if glob.has_magic(name) and not os.path.lexists(name):
            fits = sorted(one for one in glob.glob(name, recursive=True) if os.path.isdir(one))
            if not fits:
                raise UsageError(f"{name}: no folder matches this pattern (looked in {os.getcwd()})")
        found += fits
    return found


def verify(
    folders: Sequence[str],
    asked: Asked,
    keep: int,
    progress: Callable[[int], Callable[[int], None]] | None = None,
) -> Findings:
    """What is wrong with finished datasets; the first `keep` findings are kept.

    `progress` is given the rows of each folder, and what it returns is told of rows that are done.
    Raises EnvironmentFault where a folder has no manifest or that cannot be read, UsageError where
    it is no folder, or where `asked.deep` cannot be done.
    """
    for name in folders:
        require_manifest(Path(name))
    found = Findings(noun="row")
    for name in folders:
        folder = Path(name)
        facts, problems = read_facts(folder)
        found.files.append(str(folder / MANIFEST))
        for finding in problems:
            _tell(finding, found, asked, keep)
        if facts is not None:
            found.files += [str(folder / listed) for listed in facts.files]
            found.records += facts.counts.rows
            tell = progress(facts.counts.rows) if progress else lambda done: None
            for finding in _judged(folder, facts, asked, tell, found.notes):
                _tell(finding, found, asked, keep)
    return found


def _tell(finding: Finding, found: Findings, asked: Asked, keep: int) -> None:
    if finding.code in asked.rules:
        found.add(finding, keep)


def _judged(
    folder: Path, facts: Facts, asked: Asked, tell: Callable[[int], None], notes: list[str]
) -> Iterator[Finding]:
    """Findings of one folder, the quick checks first; `notes` is told what the others came to."""
    yield from check_sums(folder, facts)
    wrong = False
    for finding in _checked_files(folder, facts, tell):
        wrong |= finding.code not in _WARNINGS
        yield finding
    if asked.strict_inputs or asked.deep is not None:
        different = list(check_inputs(facts))
        wrong |= bool(different)
        yield from different
        if not different:
            notes.append("the inputs are as they were")
    if asked.deep is None:
        return
    if wrong:
        notes.append(f"no row of {folder} was made again, since this much is wrong already")
        return
    yield from _made_again(folder, facts, asked, notes)


def _made_again(folder: Path, facts: Facts, asked: Asked, notes: list[str]) -> Iterator[Finding]:
    if asked.deep == "all":
        from sftcli.verify.again import check_all

        yield from check_all(folder, facts)
        notes.append("all rows were made again")
    elif asked.deep is not None:
        from sftcli.verify.sample import check_sample

        made, findings = check_sample(folder, facts, asked.deep, asked.seed)
        yield from findings
        notes.append(f"{counted(made, 'row')} made again (seed {asked.seed})")


def _checked_files(folder: Path, facts: Facts, tell: Callable[[int], None]) -> Iterator[Finding]:
    """Files are read and hashed in one thread, while the rows of those before are judged in others."""
    shards = {shard.file: shard for shard in facts.shards}
    others = [name for name in facts.files if name not in shards]
    with ThreadPoolExecutor(1) as hasher, ThreadPoolExecutor(cores()) as workers:
        checked = {
            name: hasher.submit(check_file, folder, name, facts.files[name]) for name in (*others, *shards)
        }
        sound = True
        for name in others:
            finding = checked[name].result()
            if finding is not None:
                sound = sound and not name.startswith("tokenizer/")
                yield finding
        if sound:
            yield from check_tokenizer(folder, facts)
        yield from _checked_shards(folder, facts, workers, tell, checked)
    yield from check_strays(folder, facts)
    yield from check_links(folder, facts)


def _checked_shards(
    folder: Path,
    facts: Facts,
    workers: Executor,
    tell: Callable[[int], None],
    checked: Mapping[str, Future[Finding | None]],
) -> Iterator[Finding]:
    """The files of shards, as they were `checked`, and the rows in those that are as they were."""
    try:
        contract = contract_of(folder, facts)
    except OutputError as problem:
        yield Finding("V001", str(problem).partition(": ")[2], str(folder / MANIFEST))
        return
    first_row, documents = 0, 0
    counted_all = True
    for shard in facts.shards:
        found = None
        finding = checked[shard.file].result()
        if finding is not None:
            yield finding
        else:
            found = yield from check_shard(folder, shard, first_row, contract, workers, tell)
        counted_all &= found is not None
        documents += found or 0
        first_row += shard.rows
    if counted_all:
        yield from check_examples(folder, facts, contract, documents)
