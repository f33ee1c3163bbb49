"""The second pass: rows that were put aside are chosen, ordered, and written.

What is decided, is decided from some bytes of each row (see facts and order); then the rows are
gathered from the disk in batches. So memory grows by those bytes with the number of rows, and by
nothing with their length.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sftcli.arrange.asked import TRAIN, near_threshold, validation_asked
from sftcli.arrange.near import bands_for, near_repeats
from sftcli.arrange.order import Bools, Ints, Share, copies, in_order, is_validation, repeats
from sftcli.arrange.sides import Given
from sftcli.arrange.spill import Spill
from sftcli.config import Config
from sftcli.read.source import lines_before
from sftcli.report import MIX_WEIGHT, NEAR_DUPLICATE, SplitReport
from sftcli.sources import Part, Source, Sources

_TOKENS_AT_A_TIME = 1 << 20
_ROWS_AT_A_TIME = 1 << 16
_PLACES = 10


@dataclass(frozen=True)
class Arranged:
    """What is written: the numbers of each side's rows, in their order.

    `repeats`: whether some stand more than once.
    """

    spill: Spill
    order: Mapping[str, Ints]
    repeats: bool

    def shards(self, splits: int) -> Iterator[tuple[str, int, int, Ints]]:
        """(side, index, of how many, the rows) of each shard.

        `train` has as many shards as there were splits, `validation` as many as go with its rows, but
        no more than that; rows are spread evenly.
        """
        rows = len(self.order[TRAIN])
        for side, numbers in self.order.items():
            wanted = splits if side == TRAIN else round(splits * len(numbers) / max(rows, 1))
            count = max(1, min(wanted, splits, len(numbers)))
            for index in range(count):
                first, stop = (len(numbers) * at // count for at in (index, index + 1))
                yield side, index, count, numbers[first:stop]

    def batches(self, numbers: Ints) -> Iterator[Ints]:
        """The numbers in parts of a million tokens or less, or of one row."""
        stops = np.cumsum(self.spill.facts["length"][numbers], dtype=np.int64)
        first = done = 0
        while first < len(numbers):
            stop = int(np.searchsorted(stops, done + _TOKENS_AT_A_TIME, "right"))
            stop = min(max(stop, first + 1), first + _ROWS_AT_A_TIME)
            yield numbers[first:stop]
            done, first = int(stops[stop - 1]), stop


def arrange(sources: Sources, parts: Sequence[Part], folders: Sequence[Path]) -> Arranged:
    """Choose and order the rows that were put aside; `folders` hold those of the `parts`.

    The sources' counts become those of the rows that are chosen.
    """
    config = sources.config
    spill = Spill(folders)
    numbers = {id(source): number for number, source in enumerate(sources.all)}
    of_parts = np.array([numbers[id(part.source)] for part in parts], np.int32)
    source = of_parts[spill.split] if len(parts) else np.zeros(0, np.int32)
    left_out = _repeated(spill, config)
    times = _times(spill, source, sources.all, left_out)
    asked = validation_asked(config)
    validation: Bools | None = None
    if asked is not None:
        validation = np.zeros(len(spill), np.bool_)
        chosen = np.flatnonzero(times)
        if len(chosen):
            validation[chosen] = is_validation(spill.facts["prompt"][chosen], asked)
        times[validation] = 1  # to count a row twice tells nothing more of a model
    places = _Places(spill, parts)
    for number, one in enumerate(sources.all):
        _count(one, np.flatnonzero(source == number), times, left_out, spill, places)
    order = in_order(times, validation, config.seed if config.shuffle else None)
    return Arranged(spill, order, repeats=bool((times > 1).any()))


def _repeated(spill: Spill, config: Config) -> dict[str, Bools]:
    """The rows that are left out since an earlier one says or asks the same, or nearly so, by rule."""
    if config.dedup == "none":
        return {}
    whole = repeats(spill.facts["whole"])
    if config.dedup == "exact":
        return {"duplicate_record": whole}
    least = near_threshold(config)
    if least is not None:
        bands = (spill.band(number) for number in range(bands_for(least).count))
        return {"duplicate_record": whole, NEAR_DUPLICATE: near_repeats(bands, ~whole, spill.runs, least)}
    prompt = repeats(spill.facts["prompt"])
    return {"duplicate_record": whole, "different_answers": prompt & ~whole}


def _times(
    spill: Spill, source: npt.NDArray[np.int32], all_: Sequence[Source], out: Mapping[str, Bools]
) -> Ints:
    """How often each row stands."""
    there = np.ones(len(spill), np.bool_)
    for repeated in out.values():
        there &= ~repeated
    times = there.astype(np.int64)
    if any(one.weight is not None or one.repeat != 1 for one in all_):
        shares = [Share(one.repeat, one.weight) for one in all_]
        rows = np.flatnonzero(there)
        times[rows] = copies(source[rows], spill.facts["whole"][rows], shares)
    return times


class _Places:
    """Where rows come from: file:line."""

    def __init__(self, spill: Spill, parts: Sequence[Part]) -> None:
        self._spill, self._parts = spill, parts

    def of(self, row: int) -> str:
        split = self._parts[int(self._spill.split[row])].split
        before = lines_before(split.file, split.start) if split.start else 0
        return f"{split.file}:{before + int(self._spill.facts['line'][row])}"


def _count(
    source: Source, rows: Ints, times: Ints, left_out: Mapping[str, Bools], spill: Spill, places: _Places
) -> None:
    """Make a source's counts those of its rows that stand in the output."""
    counts, stands = source.counts, times[rows]
    no_room = stands == 0
    for reason, broken in left_out.items():
        _count_dropped(counts, reason, rows[broken[rows]], places)
        no_room &= ~broken[rows]
    _count_dropped(counts, MIX_WEIGHT, rows[no_room], places)
    kept = rows[stands > 0]
    lengths = spill.facts["length"][kept]
    counts.examples = len(kept)
    counts.straddles = spill.facts["straddles"][kept].sum(axis=0, dtype=np.int64)
    counts.longest, counts.longest_at = 0, ""
    if len(kept):
        longest = int(lengths.argmax())
        counts.longest, counts.longest_at = int(lengths[longest]), places.of(int(kept[longest]))
    often = stands[stands > 0]
    source.given = Given(int(often.sum()), int(often @ lengths), int(often @ spill.facts["trained"][kept]))


def _count_dropped(counts: SplitReport, reason: str, rows: Ints, places: _Places) -> None:
    if len(rows):
        counts.dropped[reason] += len(rows)
        known = counts.places_at.setdefault(reason, [])
        known.extend(places.of(row) for row in rows[: _PLACES - len(known)].tolist())
