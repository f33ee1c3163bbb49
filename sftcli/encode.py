"""[Rendered] -> TokenBatch: runs become ids, spans become a mask.

Ids equal those of the whole text in one shot, and content cannot forge a turn. Mask boundaries
are found by counting bytes, for a whole batch at once.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch, as_offsets, objects
from sftcli.engine import Encoded, Engine
from sftcli.rendered import Rendered
from sftcli.run_plan import TEXT
from sftcli.runs import RunBuilder, Runs
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
    encoded = engine.encode(runs.texts, runs.sizes, runs.leads)
    is_text = runs.token == TEXT
    segment_stops = np.cumsum(runs.size)

    counts = np.ones(len(is_text), np.int64)
    text_segments = np.flatnonzero(is_text)
    counts[text_segments], across = _tokens_per_segment(encoded, segment_stops[text_segments])
    firsts = as_offsets(counts)
    ids = np.empty(firsts[-1], np.int32)
    in_run = np.repeat(is_text, counts)
    ids[in_run], ids[firsts[:-1][~is_text]] = encoded.ids, runs.token[~is_text]
    del in_run
    piece, trained = np.repeat(runs.piece, counts), np.repeat(runs.trained, counts)
    offsets = as_offsets(counts)[as_offsets(runs.row_segments)]

    straddling: list[int] = []
    across = np.unique(across)
    if len(across):
        spans = _Spans(runs, encoded, segment_stops)
        places = _places(across, counts, text_segments)
        over = spans.over_mask_boundaries(across)
        for token_index, place in zip(across[over].tolist(), places[over].tolist(), strict=True):
            owner = spans.owner(token_index)
            piece[place], trained[place] = runs.piece[owner], runs.trained[owner]
            straddling.append(place)
        across = np.stack((places, spans.last_pieces(across)), axis=1)
    return TokenBatch(
        ids=ids,
        offsets=offsets,
        trained=trained,
        piece=piece,
        outlines=objects(runs.outlines),
        line=np.array(runs.lines, np.int64),
        across=across.reshape(-1, 2),
        straddling=np.array(straddling, np.int64),
        carried=runs.carried,
    )


def _tokens_per_segment(encoded: Encoded, stops: Ints) -> tuple[Ints, Ints]:
    """How many tokens each text segment has, and the tokens that lie across a segment's end.

    `stops` are the segments' ends in bytes. A token belongs to the segment of its first byte.
    """
    # Tokens that end by then. Values of another type would have all stops copied.
    inside = np.searchsorted(encoded.stops, stops.astype(encoded.stops.dtype), "right")
    across = inside < len(encoded.stops)
    across[across] = encoded.starts(inside[across]) < stops[across]
    return np.diff(inside + across, prepend=0), inside[across]


def _places(tokens: Ints, counts: Ints, text_segments: Ints) -> Ints:
    """Where tokens of the text stand among all tokens, of which each segment has `counts`."""
    in_text = as_offsets(counts[text_segments])
    segment = np.searchsorted(in_text, tokens, "right") - 1
    found: Ints = tokens - in_text[segment] + as_offsets(counts)[text_segments[segment]]
    return found


class _Spans:
    """Finds which segment decides over a token that lies across segments (contract M4)."""

    def __init__(self, runs: Runs, encoded: Encoded, segment_stops: Ints) -> None:
        self._runs = runs
        self._encoded = encoded
        self._segment_stops = segment_stops
        self._run_stops = np.cumsum(runs.sizes)

    def over_mask_boundaries(self, tokens: Ints) -> npt.NDArray[np.bool_]:
        """Which of the tokens hold text of trained and of untrained segments."""
        first = np.searchsorted(self._segment_stops, self._encoded.starts(tokens), "right")
        last = np.searchsorted(self._segment_stops, self._encoded.stops[tokens], "left")
        has_text = self._runs.size > 0
        texts, trained = as_offsets(has_text), as_offsets(has_text & self._runs.trained)
        inside = texts[last + 1] - texts[first]
        trained_inside = trained[last + 1] - trained[first]
        found: npt.NDArray[np.bool_] = (trained_inside > 0) & (trained_inside < inside)
        return found

    def last_pieces(self, tokens: Ints) -> Ints:
        """The piece that each of the tokens ends in."""
        last = np.searchsorted(self._segment_stops, self._encoded.stops[tokens], "left")
        return self._runs.piece[last].astype(np.int64)

    def owner(self, token: int) -> int:
        """The segment whose piece and mask a token takes that lies across a mask boundary.

        It is masked, unless its untrained part is only white space.
        """
        stop = int(self._encoded.stops[token])
        start = stop - int(self._encoded.lengths[token])
        first = int(np.searchsorted(self._segment_stops, start, "right"))
        last = int(np.searchsorted(self._segment_stops, stop, "left"))
        inside = [index for index in range(first, last + 1) if self._runs.size[index]]
        trained = [index for index in inside if self._runs.trained[index]]
        untrained = [index for index in inside if not self._runs.trained[index]]
        text = b"".join(self._bytes(index, start, stop) for index in untrained)
        return (trained if text.decode().isspace() else untrained)[0]

    def _bytes(self, segment: int, start: int, stop: int) -> bytes:
        """The part of a segment in [start, stop) of all runs, in whole characters.

        A token may hold some bytes of a character only: then all of the character decides.
        """
        run = int(np.searchsorted(self._run_stops, start, "right"))
        base = int(self._run_stops[run] - self._runs.sizes[run])
        end = int(self._segment_stops[segment])
        begin = end - int(self._runs.size[segment])
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
