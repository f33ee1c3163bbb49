"""Rows made again, and where a shard holds them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sftcli.batch import IGNORE
from sftcli.view.aligned import Lists, aligned, documents_of, needed
from sftcli.view.marks import Bools, Ints
from sftcli.view.shards import Shard

Keys = npt.NDArray[np.uint64]


@dataclass(slots=True)
class Made:
    """A row made again, where its record stands, and what of it was found in the folder.

    `record`: the number of its line among all lines, from 0. `text`: all of it, before it is cut. `rows`:
    the numbers of the rows that are like it, in order; of packed rows those of documents.
    """

    file: str
    line: int
    record: int
    text: str
    ids: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int32]
    found_ids: bool = False
    rows: list[int] = field(default_factory=list)


def unpadded(shard: Shard, unit: int) -> tuple[Lists, Lists]:
    """The ids and labels of a unit, a row for each record: without padding, and taken apart where packed."""
    layout = shard.layout
    packed = [name for name in ("seq_lengths", "seq_start_id") if name in layout.names and layout.packed]
    columns = shard.read(unit, [*needed(layout, padding=True), *packed])
    rows = aligned(columns, layout)
    documents = documents_of(columns, rows.lengths) if packed else None
    lengths = rows.lengths if documents is None else documents.values
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    if rows.real is None:
        return Lists(rows.ids, offsets), Lists(rows.labels, offsets)
    return Lists(rows.ids[rows.real], offsets), Lists(rows.labels[rows.real], offsets)


def keys_of(ids: Lists) -> Keys:
    """uint64[R]: a number for each row that hangs on its tokens and their order."""
    return _Sums(ids.values).keys(ids.offsets[:-1], ids.offsets[1:])


class _Sums:
    """Running sums of ids, by which any stretch of them has a number at once; all modulo 2^64."""

    def __init__(self, ids: npt.NDArray[np.integer]) -> None:
        values = ids.astype(np.uint64)
        self._plain = _running(values)
        self._by_place = _running(values * np.arange(len(values)).astype(np.uint64))

    def keys(self, starts: Ints, stops: Ints) -> Keys:
        plain = self._plain[stops] - self._plain[starts]
        by_place = self._by_place[stops] - self._by_place[starts] - starts.astype(np.uint64) * plain
        found: Keys = by_place * np.uint64(0x9E3779B97F4A7C15) + plain
        return found


def _running(values: Keys) -> Keys:
    return np.concatenate((np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)))


def look_in_stream(shard: Shard, made: Sequence[Made]) -> None:
    """Note the rows that the shard holds, whose records were joined in order and then cut into rows.

    A record begins where a document does, and goes on in those that follow; the first token of each of
    them is untrained.
    """
    longest = max((len(row.ids) for row in made), default=0)
    keys = [int(keys_of(Lists(row.ids, np.array([0, len(row.ids)])))[0]) for row in made]
    ids, labels, starts = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    before = 0  # documents that are gone from the stream
    for unit in range(len(shard.bounds) - 1):
        own, own_labels = unpadded(shard, unit)
        flags = np.zeros(len(own.values), np.bool_)
        flags[own.offsets[:-1]] = True
        ids, labels = np.concatenate((ids, own.values)), np.concatenate((labels, own_labels.values))
        starts = np.concatenate((starts, flags))
        places, sums = np.flatnonzero(starts), _Sums(ids)
        for row, key in zip(made, keys, strict=True):
            whole = places[places + len(row.ids) <= len(ids)]
            for number in np.flatnonzero(sums.keys(whole, whole + len(row.ids)) == key).tolist():
                _compare(row, int(whole[number]), before + number, ids, labels, starts)
        # The next unit may go on with what is at the end of this one.
        gone = max(len(ids) - longest, 0)
        before += int(starts[:gone].sum())
        ids, labels, starts = ids[gone:], labels[gone:], starts[gone:]


def _compare(
    row: Made,
    place: int,
    number: int,
    ids: npt.NDArray[np.integer],
    labels: npt.NDArray[np.integer],
    starts: Bools,
) -> None:
    part = slice(place, place + len(row.ids))
    if np.array_equal(ids[part], row.ids):
        row.found_ids = True
        if np.array_equal(labels[part], np.where(starts[part], IGNORE, row.labels)):
            row.rows.append(number)
