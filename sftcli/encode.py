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

Ints = npt.NDArray[np.int64]


class Encoder:
    """Encodes rendered rows with one tokenizer and one engine."""

    def __init__(self, tokenizer: Tokenizer, engine: Engine) -> None:
        self.engine = engine
        self.builder = RunBuilder(tokenizer, engine)

    def encode(self, rows: Sequence[Rendered], lines: Sequence[int]) -> TokenBatch:
        """Tokenize R rows; `lines` are the R input lines they came from."""
        return encode_runs(self.builder.build(rows, lines), self.engine)

    def control_texts(self, rows: Sequence[Rendered]) -> int:
        """How many rows hold a control token's text in their content."""
        return self.builder.build(rows, [0] * len(rows)).control_text_rows


def encode_runs(runs: Runs, engine: Engine) -> TokenBatch:
    """Tokenize the runs, and put their tokens and the template's tokens in their places."""
    sizes = np.array(runs.sizes, np.int64)
    encoded = engine.encode(runs.texts, sizes, np.array(runs.leads, np.bool_))
    token = np.array(runs.token, np.int32)
    is_text = token == TEXT
    segment_stops = np.cumsum(np.array(runs.size, np.int64))
    segment_piece, segment_trained, row_segments = _segments(runs)

    counts = np.ones(len(token), np.int64)
    text_segments = np.flatnonzero(is_text)
    counts[text_segments], across = _tokens_per_segment(encoded, segment_stops[text_segments])
    in_run = np.repeat(is_text, counts)
    ids = np.empty(len(in_run), np.int32)
    ids[in_run], ids[~in_run] = encoded.ids, token[~is_text]
    piece, trained = np.repeat(segment_piece, counts), np.repeat(segment_trained, counts)
    offsets = _stops(counts)[_stops(row_segments)]

    straddles = np.zeros((len(runs.row_pieces), 2), np.int32)
    if len(across):
        spans = _Spans(runs, encoded, segment_stops, segment_trained)
        places = np.flatnonzero(in_run)
        for token_index in dict.fromkeys(across.tolist()):
            owner = spans.owner(token_index)
            if owner is None:
                continue
            place = int(places[token_index])
            piece[place], trained[place] = segment_piece[owner], segment_trained[owner]
            row = int(np.searchsorted(offsets, place, "right")) - 1
            straddles[row, int(trained[place])] += 1
    return TokenBatch(ids, offsets, trained, piece, np.array(runs.lines, np.int64), straddles)


def _segments(runs: Runs) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_], Ints]:
    """Each segment's piece (its index in the row) and mask, and how many segments each row has."""
    row_pieces = np.array(runs.row_pieces, np.int64)
    piece_segments = np.array(runs.piece_segments, np.int64)
    row_stops = _stops(row_pieces)
    place_in_row = np.arange(row_stops[-1]) - np.repeat(row_stops[:-1], row_pieces)
    return (
        np.repeat(place_in_row.astype(np.int32), piece_segments),
        np.repeat(np.array(runs.piece_trained, np.bool_), piece_segments),
        np.diff(_stops(piece_segments)[row_stops]),
    )


def _stops(counts: Ints) -> Ints:
    """int64[N + 1]: where each of N stretches begins, and where the last one ends."""
    stops = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=stops[1:])
    return stops


def _tokens_per_segment(encoded: Encoded, stops: Ints) -> tuple[Ints, Ints]:
    """How many tokens each text segment has, and the tokens that lie across a segment's end.

    `stops` are the segments' ends in bytes. A token belongs to the segment of its first byte.
    """
    inside = np.searchsorted(encoded.stops, stops, "right")  # tokens that end by then
    across = inside < len(encoded.starts)
    across[across] = encoded.starts[inside[across]] < stops[across]
    return np.diff(inside + across, prepend=0), inside[across]


class _Spans:
    """Finds which segment decides over a token that lies across segments (contract M4)."""

    def __init__(
        self, runs: Runs, encoded: Encoded, segment_stops: Ints, segment_trained: npt.NDArray[np.bool_]
    ) -> None:
        self._runs = runs
        self._encoded = encoded
        self._segment_stops = segment_stops
        self._trained = segment_trained
        self._run_stops = np.cumsum(np.array(runs.sizes, np.int64))

    def owner(self, token: int) -> int | None:
        """The segment whose piece and mask the token takes, None where no mask boundary is in it.

        A token across a mask boundary is masked, unless its untrained part is only white space.
        """
        start, stop = int(self._encoded.starts[token]), int(self._encoded.stops[token])
        first = int(np.searchsorted(self._segment_stops, start, "right"))
        last = int(np.searchsorted(self._segment_stops, stop, "left"))
        inside = [index for index in range(first, last + 1) if self._runs.size[index]]
        trained = [index for index in inside if self._trained[index]]
        untrained = [index for index in inside if not self._trained[index]]
        if not trained or not untrained:
            return None
        text = b"".join(self._bytes(index, start, stop) for index in untrained)
        return (trained if text.decode().isspace() else untrained)[0]

    def _bytes(self, segment: int, start: int, stop: int) -> bytes:
        """The part of a segment in [start, stop) of all runs, in whole characters.

        A token may hold some bytes of a character only: then all of the character decides.
        """
        run = int(np.searchsorted(self._run_stops, start, "right"))
        base = int(self._run_stops[run]) - self._runs.sizes[run]
        end = int(self._segment_stops[segment])
        begin = end - self._runs.size[segment]
        raw = self._runs.texts[run].encode()
        first, last = max(start, begin) - base, min(stop, end) - base
        while _is_inside(raw, first):
            first -= 1
        while _is_inside(raw, last):
            last += 1
        return raw[first:last]


def _is_inside(raw: bytes, at: int) -> bool:
    """Whether the byte at `at` continues a character (in UTF-8, 10xxxxxx)."""
    return at < len(raw) and raw[at] & 0xC0 == 0x80
