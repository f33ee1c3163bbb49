"""--deep all: the whole folder made again from its inputs, and compared shard by shard."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec

from sftcli import __version__
from sftcli.config import Config
from sftcli.config_checks import check
from sftcli.errors import ConfigError, DataError, UsageError
from sftcli.findings.finding import Finding
from sftcli.layout import Layout
from sftcli.manifest import MANIFEST, file_facts, libraries, read_manifest
from sftcli.pipeline import prepare
from sftcli.prepared import Facts
from sftcli.verify.remade import differences
from sftcli.verify.scratch import scratch_folder
from sftcli.view.layouts import layout_in
from sftcli.view.shards import Shard

_AGAIN = "prepare the folder again"


def config_of(folder: Path, facts: Facts, output: Path | None = None) -> Config:
    """The config that the folder was made with, and its own tokenizer.

    Raises UsageError where this version has no such options.
    """
    several = facts.config.get("sources")
    options = {
        **facts.config,
        "inputs": [] if several else [source.file for source in facts.inputs],
        **({"sources": _sources(several, facts)} if several else {}),
        "tokenizer": str(folder / "tokenizer"),
        "output": None if output is None else str(output),
    }
    if str(facts.config.get("template")).endswith((".jinja", ".j2")):
        options["template"] = "tokenizer"  # the saved one has that file's text as its own
    try:
        config = msgspec.convert(options, Config)
        check(config)
        return config
    except (msgspec.ValidationError, ConfigError) as problem:
        raise UsageError(
            f"{folder / MANIFEST}: --deep: made by sftcli {facts.sftcli}, with an option that "
            f"sftcli {__version__} does not have: {problem}; take the version that made it"
        ) from None


def _sources(sources: Any, facts: Facts) -> Any:
    """The sources of a manifest's config, whose inputs are the files that their patterns stood for."""
    files: dict[str | None, list[str]] = {}
    for source in facts.inputs:
        files.setdefault(source.source, []).append(source.file)
    names = [source.name for source in facts.sources]
    if not isinstance(sources, list) or len(sources) != len(names):
        return sources  # which is no config
    return [
        {**one, "name": name, "inputs": files.get(name, [])} for one, name in zip(sources, names, strict=True)
    ]


def check_all(folder: Path, facts: Facts) -> Iterator[Finding]:
    """Prepare again, into a temporary folder, and compare the shards' bytes and all that is said of them."""
    with scratch_folder() as scratch:
        again = scratch / "out"
        try:
            prepare(config_of(folder, facts, again))
        except DataError as problem:
            yield cannot(folder, facts, problem)
            return
        made = read_manifest(again)
        found = [*_other_shards(folder, facts, made, again), *_other_counts(folder, facts, made)]
        yield from found
        # What else differs where the rows do follows from them.
        if all(finding.code == "V024" for finding in found):
            yield from differences(folder, read_manifest(folder), made, again, versions(facts))


def _other_shards(folder: Path, facts: Facts, made: dict[str, Any], again: Path) -> Iterator[Finding]:
    shards = {shard["file"] for shard in made["shards"]}
    for shard in facts.shards:
        path = folder / shard.file
        if shard.file not in shards:
            yield Finding("V023", f"is not made any more; {_AGAIN}", str(path))
        elif made["files"][shard.file]["sha256"] != facts.files[shard.file].sha256:
            yield _other_shard(path, again / shard.file, facts, layout_in(folder, facts))
    for name in sorted(shards - {shard.file for shard in facts.shards}):
        yield Finding("V023", f"is made now, and was not then; {_AGAIN}", str(folder / name))


def _other_counts(folder: Path, facts: Facts, made: dict[str, Any]) -> Iterator[Finding]:
    counts = msgspec.to_builtins(facts.counts)
    for name in ("lines", "blank", "dropped", "rejected"):
        if made["counts"][name] != counts[name]:
            then, now = _told(counts[name]), _told(made["counts"][name])
            told = f"its counts say {then} {name}, and made again there are {now}"
            yield Finding("V023", f"{told}; {_AGAIN}", str(folder / MANIFEST))


def _other_shard(path: Path, again: Path, facts: Facts, layout: Layout) -> Finding:
    """What differs between a shard and the same one made again."""
    for number, (then, now) in enumerate(zip_longest(_all_rows(path, layout), _all_rows(again, layout))):
        if then != now:
            what = (
                "is not made any more" if now is None
                else "is made now, and was not then" if then is None
                else f"has other {_other_column(then, now)}"
            )  # fmt: skip
            message = f"made again, row {number} of this shard {what}{versions(facts)}; {_AGAIN}"
            return Finding("V023", message, str(path))
    size = file_facts(again)["bytes"]
    message = f"made again it has the same rows in other bytes ({size:,} of them){versions(facts)}"
    return Finding("V024", message, str(path))


def _all_rows(path: Path, layout: Layout) -> Iterator[dict[str, Any]]:
    """Every row with the values of all its columns."""
    shard = Shard(path, layout)
    for unit in range(len(shard.bounds) - 1):
        columns = shard.arrays(unit, shard.columns)
        for values in zip(*(column.to_pylist() for column in columns.values()), strict=True):
            yield dict(zip(columns, values, strict=True))


def _other_column(then: dict[str, Any], now: dict[str, Any]) -> str:
    """The first column that differs, the tokens before all others, which follow from them."""
    names = [name for name in ("input_ids", *then, *now) if then.get(name) != now.get(name)]
    return {"input_ids": "tokens"}.get(names[0], names[0])


def versions(facts: Facts) -> str:
    """In brackets, which versions differ from those that made the folder: they may be the cause."""
    now = {"sftcli": __version__, **libraries(str(facts.config.get("dedup")))}
    then = {"sftcli": facts.sftcli, **facts.libraries}
    differ = [
        f"{name} {then.get(name)} then, {own} now" for name, own in now.items() if then.get(name) != own
    ]
    return f" ({'; '.join(differ)})" if differ else ""


def cannot(folder: Path, facts: Facts, problem: DataError) -> Finding:
    """Inputs that made the folder, and are refused now."""
    message = f"cannot be made again: {problem}{versions(facts)}; {_AGAIN}"
    return Finding("V023", message, str(folder / MANIFEST))


def _told(count: Any) -> str:
    if isinstance(count, dict):
        return ", ".join(f"{number:,} {reason}" for reason, number in sorted(count.items())) or "none"
    return f"{count:,}"
