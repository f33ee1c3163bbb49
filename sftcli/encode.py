"""[Rendered] -> TokenBatch: runs become ids, spans become a mask.

Ids equal those of the whole text in one shot, and content cannot forge a turn. Mask boundaries
are found by counting bytes, for a whole batch at once.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch
from sftcli.engine import Encoded, Engine
from sftcli.render import Rendered
from sftcli.runs import TEXT, RunBuilder, Runs
from sftcli.tokenizer import Tokenizer


class Encoder:
    """Encodes rendered rows with one tokenizer and one engine."""

    def __init__(self, tokenizer: Tokenizer, engine: Engine) -> None:
        self.engine = engine
        self.builder = RunBuilder(tokenizer)

    def encode(self, rows: Sequence[Rendered], lines: Sequence[int]) -> TokenBatch:
        """Tokenize R rows; `lines` are the R input lines they came from."""
        return encode_runs(self.builder.build(rows, lines), self.engine)

    def control_texts(self, rows: Sequence[Rendered]) -> int:
        """How many rows hold a control token's text in their content."""
        return self.builder.control_texts(rows)


def encode_runs(runs: Runs, engine: Engine) -> TokenBatch:
    """Tokenize the runs and put their tokens and the control tokens in their places."""
    segment_stops = np.cumsum(np.array(runs.segment_bytes, np.int64))
    run_stops = segment_stops[np.array(runs.run_ends, np.int64) - 1]
    sizes = np.diff(run_stops, prepend=0)
    encoded = engine.encode(runs.texts, sizes, np.array(runs.leads, np.bool_))
    return _assemble(runs, encoded, segment_stops)


def _assemble(runs: Runs, encoded: Encoded, segment_stops: npt.NDArray[np.int64]) -> TokenBatch:
    units = np.array(runs.units, np.int64)
    is_run = units == TEXT
    unit_lengths = np.ones(len(units), np.int64)
    unit_lengths[is_run] = np.diff(encoded.ends, prepend=0)
    unit_stops = np.cumsum(unit_lengths)
    total = int(unit_stops[-1]) if len(units) else 0

    in_run = np.ones(total, np.bool_)
    in_run[unit_stops[~is_run] - 1] = False
    ids, piece, trained = (np.empty(total, dtype) for dtype in (np.int32, np.int32, np.bool_))
    ids[in_run], ids[~in_run] = encoded.ids, units[~is_run]
    run_piece, run_trained, crossing = _project(runs, encoded, segment_stops)
    piece[in_run], piece[~in_run] = run_piece, runs.control_piece
    trained[in_run], trained[~in_run] = run_trained, runs.control_trained

    row_ends = np.array(runs.row_ends, np.int64)
    offsets = np.concatenate(([0], unit_stops))[np.concatenate(([0], row_ends))]
    straddles = np.zeros((len(row_ends), 2), np.int32)
    if crossing:
        places = np.flatnonzero(in_run)[crossing]
        rows = np.searchsorted(offsets, places, "right") - 1
        np.add.at(straddles, (rows, trained[places].astype(np.int64)), 1)
    return TokenBatch(ids, offsets, trained, piece, np.array(runs.lines, np.int64), straddles)


def _project(
    runs: Runs, encoded: Encoded, segment_stops: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_], list[int]]:
    """Each run token's piece and mask, and the tokens that lie across a mask boundary (M4).

    A token belongs to the segment of its first byte. One that straddles a mask boundary is
    masked, unless its untrained part is only white space.
    """
    segment_piece = np.array(runs.segment_piece, np.int32)
    segment_trained = np.array(runs.segment_trained, np.bool_)
    inside = np.searchsorted(encoded.stops, segment_stops, "right")  # tokens that end by then
    starts = np.append(encoded.starts, np.iinfo(np.int64).max)
    across = starts[inside] < segment_stops
    counts = np.diff(inside + across, prepend=0)
    piece, trained = np.repeat(segment_piece, counts), np.repeat(segment_trained, counts)

    crossing: list[int] = []
    for segment in np.flatnonzero(across).tolist():
        token = int(inside[segment])
        if crossing and crossing[-1] == token:
            continue
        start, stop = int(encoded.starts[token]), int(encoded.stops[token])
        first = int(np.searchsorted(segment_stops, start, "right"))
        last = int(np.searchsorted(segment_stops, stop, "left"))
        flags = runs.segment_trained[first : last + 1]
        if all(flags) or not any(flags):
            continue
        crossing.append(token)
        if _untrained_is_white(runs, segment_stops, start, stop, first, last):
            trained[token] = True
            piece[token] = next(segment_piece[i] for i in range(first, last + 1) if runs.segment_trained[i])
        else:
            trained[token] = False
    return piece, trained, crossing


def _untrained_is_white(
    runs: Runs, segment_stops: npt.NDArray[np.int64], start: int, stop: int, first: int, last: int
) -> bool:
    """Whether the untrained characters of the token at [start, stop) are all white space."""
    run = int(np.searchsorted(runs.run_ends, first, "right"))
    run_start = int(segment_stops[runs.run_ends[run - 1] - 1]) if run else 0
    raw = runs.texts[run].encode()
    untrained = b""
    for segment in range(first, last + 1):
        if not runs.segment_trained[segment]:
            begin = int(segment_stops[segment - 1]) if segment else 0
            begin, end = max(start, begin) - run_start, min(stop, int(segment_stops[segment])) - run_start
            # A token may hold a part of a character's bytes: all of the character decides.
            while _is_inside(raw, begin):
                begin -= 1
            while _is_inside(raw, end):
                end += 1
            untrained += raw[begin:end]
    return untrained.decode().isspace()


def _is_inside(raw: bytes, at: int) -> bool:
    return at < len(raw) and raw[at] & 0xC0 == 0x80  # the first byte of a character is no such byte
