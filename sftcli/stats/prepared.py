"""A prepared folder -> Measured: its manifest, and the tokens of its shards, counted in bulk."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from sftcli.batch import IGNORE, true_counts
from sftcli.cores import cores
from sftcli.errors import EnvironmentFault, OutputError
from sftcli.layout import Layout as Shape
from sftcli.manifest import MANIFEST
from sftcli.prepared import Facts, facts_in, own_tokenizer
from sftcli.stats.count import RowCounts, count_values
from sftcli.stats.measure import Layout, Measured, Reason
from sftcli.view.aligned import Aligned, aligned, documents_of, needed
from sftcli.view.layouts import layout_in
from sftcli.view.shards import OpenShards, Shard

_NOT_KEPT = "a prepared folder holds ids and labels, and no turns; take the raw data"


class _Config(msgspec.Struct):
    train_on: str
    train_on_eos: str
    max_length: int | None


def measure_prepared(
    folder: Path, progress: Callable[[int], Callable[[int], None]] | None = None
) -> Measured:
    """Count the rows of a finished dataset.

    Of the shards the ids and labels are read, a row group at a time on every core. `progress` is
    given the number of rows, and what it returns is told of rows that are done. Raises
    EnvironmentFault for a folder without a manifest, or shards that are not what it says.
    """
    manifest = facts_in(folder)
    config, counts = _config(folder, manifest), manifest.counts
    tell = progress(counts.rows) if progress else None
    pool = ThreadPoolExecutor(cores())
    try:
        tokenizer = pool.submit(own_tokenizer, folder, manifest)
        rows = _all_rows(folder, manifest, pool, tell)
    finally:
        pool.shutdown(cancel_futures=True)
    return Measured(
        source=str(folder),
        kind="prepared",
        layout=_layout(manifest, config),
        tokenizer=tokenizer.result(),
        rows=rows,
        records=counts.lines - counts.blank,
        blank=counts.blank,
        dropped={name: Reason(number, None) for name, number in sorted(counts.dropped.items())},
        rejected={name: Reason(number, None) for name, number in sorted(counts.rejected.items())},
        straddles=(
            counts.straddling_tokens.get("masked", 0),
            counts.straddling_tokens.get("trained", 0),
        ),
        control_text_rows=counts.control_text_rows,
        notes=dict(sorted(counts.notes.items())),
        turns=None,
        unknown={"turns": _NOT_KEPT, "empty_thinking_rows": _NOT_KEPT},
    )


def _config(folder: Path, facts: Facts) -> _Config:
    try:
        return msgspec.convert(facts.config, _Config)
    except msgspec.ValidationError as problem:
        raise OutputError(f"{folder / MANIFEST}: not a manifest of sftcli: its config: {problem}") from None


def _layout(manifest: Facts, config: _Config) -> Layout:
    return Layout(
        template=manifest.template,
        record_format=manifest.record_format,
        tokenizer=manifest.tokenizer.name,
        tokenizer_sha256=manifest.tokenizer.sha256,
        train_on=config.train_on,
        train_on_eos=config.train_on_eos,
        max_length=config.max_length,
    )


def _all_rows(
    folder: Path, manifest: Facts, pool: ThreadPoolExecutor, tell: Callable[[int], None] | None
) -> RowCounts:
    """The rows of all shards. Raises EnvironmentFault where they are not as many as the manifest says."""
    shape = layout_in(folder, manifest)
    rows, opened = RowCounts(), OpenShards(shape)
    parts = pool.map(
        lambda part: _counted(opened.at(part[0]), part[1], manifest.tokenizer.size),
        _units(folder, manifest, shape),
    )
    for found in parts:
        rows.merge(found)
        if tell is not None:
            tell(found.lengths.total())
    seen, said = rows.lengths.total(), manifest.counts
    tokens = sum(length * number for length, number in rows.lengths.items())
    if (seen, tokens) != (said.rows, said.tokens):
        raise EnvironmentFault(
            f"{folder}: its shards hold {seen:,} rows of {tokens:,} tokens, and its manifest says "
            f"{said.rows:,} rows of {said.tokens:,}; prepare it again"
        )
    return rows


def _units(folder: Path, manifest: Facts, shape: Shape) -> Iterator[tuple[Path, int]]:
    """What is counted in one go: a row group of Parquet, a record batch of an Arrow stream."""
    for facts in manifest.shards:
        shard = Shard(folder / facts.file, shape)
        shard.require_rows(facts.rows)
        for unit in range(len(shard.bounds) - 1):
            yield shard.path, unit


def _counted(shard: Shard, unit: int, vocabulary: int) -> RowCounts:
    shape = shard.layout
    names = needed(shape, padding=shape.padding is not None)
    packed = [name for name in ("seq_lengths", "seq_start_id") if name in shape.names and shape.packed]
    columns = shard.read(unit, [*names, *packed])
    rows = aligned(columns, shape)
    trained = rows.trained
    _require_ids(shard, rows.ids, rows.labels, trained, vocabulary)
    counts = RowCounts()
    counts.add(rows.ids, trained, rows.offsets, _lengths(rows))
    documents = documents_of(columns, np.diff(rows.offsets)) if packed else None
    if documents is not None:
        count_values(counts.documents, documents.values)
    return counts


def _lengths(rows: Aligned) -> npt.NDArray[np.int64]:
    return np.diff(rows.offsets) if rows.real is None else true_counts(rows.real, rows.offsets)


def _require_ids(
    shard: Shard,
    ids: npt.NDArray[np.integer],
    labels: npt.NDArray[np.integer],
    trained: npt.NDArray[np.bool_],
    vocabulary: int,
) -> None:
    """Raise EnvironmentFault for ids that are none, and labels that are not those of their tokens."""
    what = None
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < vocabulary:
        own = int(ids[(ids < 0) | (ids >= vocabulary)][0])
        what = f"the id {own} is not in its tokenizer, whose ids end at {vocabulary - 1}"
    elif wrong := int(np.count_nonzero(trained & (labels != ids))):
        what = f"labels that are neither their token's id nor {IGNORE}: {wrong:,} in one part of it"
    if what is not None:
        raise EnvironmentFault(f"{shard.path}: {what}; `sftcli verify` tells more, or prepare it again")
