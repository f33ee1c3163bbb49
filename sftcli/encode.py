"""[Rendered] -> TokenBatch: pieces become runs, runs become ids, spans become a mask.

Neighbouring text is joined into runs; a control token of the template ends a run and is inserted
by its id. Each run is tokenized as one string with control tokens off, so that ids equal those of
the whole text and content cannot forge a turn. Mask boundaries are found by counting bytes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch
from sftcli.engine import Encoded, Engine
from sftcli.errors import TokenizerError
from sftcli.render import Piece, Rendered
from sftcli.tokenizer import Tokenizer

# What `\s` means to the tokenizers library (Unicode White_Space); str.strip() takes more.
_WHITE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_TEXT = -1  # a unit that is a run of text; any other unit is a control token's id
_MAX_TEMPLATE_TEXTS = 4096

Token = tuple[int, bool, bool]  # a control token: id, lstrip, rstrip


@dataclass(slots=True)
class _Layout:
    """A batch as units (runs and control tokens) and, inside the runs, segments of one piece each.

    The lists named `unit_*` run over units, `segment_*` over segments in the order of the text.
    """

    runs: list[str] = field(default_factory=list)
    run_leads: list[bool] = field(default_factory=list)
    unit: list[int] = field(default_factory=list)
    control_piece: list[int] = field(default_factory=list)
    control_trained: list[bool] = field(default_factory=list)
    row_ends: list[int] = field(default_factory=list)
    segment_piece: list[int] = field(default_factory=list)
    segment_trained: list[bool] = field(default_factory=list)
    segment_bytes: list[int] = field(default_factory=list)
    run_segments: list[int] = field(default_factory=list)


class Encoder:
    """Encodes batches of rendered rows with one tokenizer and one engine."""

    def __init__(self, tokenizer: Tokenizer, engine: Engine) -> None:
        self.engine = engine
        self._control = tokenizer.control_tokens
        longest_first = sorted(self._control, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._strips = any(token.lstrip or token.rstrip for token in self._control.values())
        self._parts: dict[str, list[tuple[str, Token | None, int]]] = {}

    def encode(self, rows: Sequence[Rendered], lines: Sequence[int]) -> TokenBatch:
        """Tokenize R rows; `lines` are the R input lines they came from."""
        layout = _Layout()
        for row in rows:
            self._lay_out(row, layout)
        segment_bytes = np.array(layout.segment_bytes, np.int64)
        run_segments = np.array(layout.run_segments, np.int64)
        segment_stops = np.cumsum(segment_bytes)
        run_stops = segment_stops[run_segments - 1]
        encoded = self.engine.encode(layout.runs, np.diff(run_stops, prepend=0), np.array(layout.run_leads, np.bool_))
        return _assemble(layout, encoded, segment_stops, np.array(lines, np.int64))

    def control_texts(self, rows: Sequence[Rendered]) -> int:
        """How many rows hold a control token's text in their content."""
        search, openings = self._pattern.search, tuple({text[:2] for text in self._control})
        return sum(
            any(
                piece.content and any(opening in piece.text for opening in openings) and search(piece.text)
                for piece in row.pieces
            )
            for row in rows
        )

    def _split(self, text: str) -> list[tuple[str, Token | None, int]]:
        """Template text as (text, None, bytes) and ("", control token, 0) parts; remembered."""
        known = self._parts.get(text)
        if known is not None:
            return known
        parts: list[tuple[str, Token | None, int]] = []
        at = 0
        for match in self._pattern.finditer(text):
            if match.start() > at:
                piece = text[at : match.start()]
                parts.append((piece, None, len(piece.encode())))
            token = self._control[match[0]]
            if token.single_word:
                raise TokenizerError(f"control token {match[0]!r} has single_word set, which is not supported")
            parts.append(("", (token.id, token.lstrip, token.rstrip), 0))
            at = match.end()
        if at < len(text):
            parts.append((text[at:], None, len(text[at:].encode())))
        if len(self._parts) >= _MAX_TEMPLATE_TEXTS:
            self._parts.clear()  # a template that writes ever new text must not fill the memory
        self._parts[text] = parts
        return parts

    def _lay_out(self, row: Rendered, out: _Layout) -> None:
        """Append one row's units and segments to `out`."""
        run: list[str] = []
        add_text, add_bytes = run.append, out.segment_bytes.append
        add_piece, add_trained = out.segment_piece.append, out.segment_trained.append
        first_unit = len(out.unit)
        strip_next = False
        for index, piece in enumerate(row.pieces):
            if piece.content:
                parts: Sequence[tuple[str, Token | None, int]] = ((piece.text, None, -1),)
            else:
                parts = self._split(piece.text)
            for text, token, size in parts:
                if token is None:
                    if strip_next:
                        text, size = text.lstrip(_WHITE), -1
                        strip_next = not text
                    if not text:
                        continue
                    add_text(text)
                    add_piece(index)
                    add_trained(piece.trained)
                    add_bytes(size if size >= 0 else len(text) if text.isascii() else len(text.encode()))
                    continue
                if run:
                    if token[1]:
                        _strip_end(run, out)
                    _close_run(run, out, first_unit)
                strip_next = token[2]
                out.unit.append(token[0])
                out.control_piece.append(index)
                out.control_trained.append(piece.trained)
        if run:
            _close_run(run, out, first_unit)
        out.row_ends.append(len(out.unit))


def _close_run(run: list[str], out: _Layout, first_unit: int) -> None:
    text = "".join(run)
    run.clear()
    if not text:
        return
    out.run_leads.append(len(out.unit) == first_unit)
    out.runs.append(text)
    out.unit.append(_TEXT)
    out.run_segments.append(len(out.segment_bytes))


def _strip_end(run: list[str], out: _Layout) -> None:
    """Drop the white space at a run's end, which the control token after it takes in (lstrip)."""
    while run:
        kept = run[-1].rstrip(_WHITE)
        dropped = len(run[-1].encode()) - len(kept.encode())
        if kept:
            run[-1] = kept
            out.segment_bytes[-1] -= dropped
            return
        run.pop()
        out.segment_bytes.pop()
        out.segment_piece.pop()
        out.segment_trained.pop()


def _assemble(
    layout: _Layout, encoded: Encoded, segment_stops: npt.NDArray[np.int64], lines: npt.NDArray[np.int64]
) -> TokenBatch:
    """Put the runs' tokens and the control tokens in their places."""
    units = np.array(layout.unit, np.int64)
    is_run = units == _TEXT
    unit_lengths = np.ones(len(units), np.int64)
    unit_lengths[is_run] = np.diff(encoded.ends, prepend=0)
    unit_stops = np.cumsum(unit_lengths)
    total = int(unit_stops[-1]) if len(units) else 0

    in_run = np.ones(total, np.bool_)
    in_run[unit_stops[~is_run] - 1] = False
    ids, piece, trained = (np.empty(total, dtype) for dtype in (np.int32, np.int32, np.bool_))
    ids[in_run], ids[~in_run] = encoded.ids, units[~is_run]
    run_piece, run_trained, crossing = _project(layout, encoded, segment_stops)
    piece[in_run], piece[~in_run] = run_piece, layout.control_piece
    trained[in_run], trained[~in_run] = run_trained, layout.control_trained

    row_ends = np.array(layout.row_ends, np.int64)
    offsets = np.concatenate(([0], unit_stops[row_ends - 1])).astype(np.int64)
    straddles = np.zeros((len(row_ends), 2), np.int32)
    if crossing:
        places = np.flatnonzero(in_run)[crossing]
        rows = np.searchsorted(offsets, places, "right") - 1
        np.add.at(straddles, (rows, trained[places].astype(np.int64)), 1)
    return TokenBatch(ids, offsets, trained, piece, lines, straddles)


def _project(
    layout: _Layout, encoded: Encoded, segment_stops: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_], list[int]]:
    """Each run token's piece and mask, and the tokens that lie across a mask boundary (M4).

    A token belongs to the segment of its first byte. One that straddles a mask boundary is
    masked, unless its untrained part is only white space.
    """
    segment_piece = np.array(layout.segment_piece, np.int32)
    segment_trained = np.array(layout.segment_trained, np.bool_)
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
        flags = layout.segment_trained[first : last + 1]
        if all(flags) or not any(flags):
            continue
        crossing.append(token)
        if _untrained_is_white(layout, segment_stops, start, stop, first, last):
            trained[token] = True
            piece[token] = next(segment_piece[i] for i in range(first, last + 1) if layout.segment_trained[i])
        else:
            trained[token] = False
    return piece, trained, crossing


def _untrained_is_white(
    layout: _Layout, segment_stops: npt.NDArray[np.int64], start: int, stop: int, first: int, last: int
) -> bool:
    """Whether the untrained bytes of the token at [start, stop) are all white space."""
    run = int(np.searchsorted(layout.run_segments, first, "right"))
    run_start = int(segment_stops[layout.run_segments[run - 1] - 1]) if run else 0
    raw = layout.runs[run].encode()
    untrained = b""
    for segment in range(first, last + 1):
        if not layout.segment_trained[segment]:
            begin = int(segment_stops[segment - 1]) if segment else 0
            untrained += raw[max(start, begin) - run_start : min(stop, int(segment_stops[segment])) - run_start]
    return untrained.decode(errors="replace").isspace()


