"""Pieces of text become runs: what lies between two control tokens, tokenized as one string.

A control token of the template ends a run and is inserted by its id. Content never holds one,
whatever its text says.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sftcli.errors import TokenizerError
from sftcli.render import Rendered
from sftcli.tokenizer import Tokenizer

# What `\s` means to the tokenizers library (Unicode White_Space); str.strip() takes more.
_WHITE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
TEXT = -1  # a unit that is a run of text; any other unit is a control token's id
_MAX_TEMPLATE_TEXTS = 4096

Token = tuple[int, bool, bool]  # a control token: id, lstrip, rstrip


@dataclass(slots=True)
class Runs:
    """A batch of rows as units (runs and control tokens) and, inside the runs, segments.

    texts, leads: the runs, and whether each stands at the very start of its row. units: a control
    token's id, or TEXT for the next run; row_ends: where each row ends in units. control_*: the
    piece and mask of each control token. segment_*: piece, mask and UTF-8 bytes of each segment,
    which is what one piece gives to one run; run_ends: where each run ends in segments. lines:
    the input line of each row.
    """

    lines: Sequence[int]

    texts: list[str] = field(default_factory=list)
    leads: list[bool] = field(default_factory=list)
    units: list[int] = field(default_factory=list)
    control_piece: list[int] = field(default_factory=list)
    control_trained: list[bool] = field(default_factory=list)
    row_ends: list[int] = field(default_factory=list)
    segment_piece: list[int] = field(default_factory=list)
    segment_trained: list[bool] = field(default_factory=list)
    segment_bytes: list[int] = field(default_factory=list)
    run_ends: list[int] = field(default_factory=list)


class RunBuilder:
    """Makes runs of rendered rows for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._control = tokenizer.control_tokens
        longest_first = sorted(self._control, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        # Searching for a few openings first is many times faster than the pattern alone.
        self._openings = tuple({text[:2] for text in self._control})
        self._parts: dict[str, list[tuple[str, Token | None, int]]] = {}

    def build(self, rows: Sequence[Rendered], lines: Sequence[int]) -> Runs:
        """The runs of R rows; `lines` are the R input lines they came from."""
        out = Runs(lines)
        for row in rows:
            self._lay_out(row, out)
        return out

    def control_texts(self, rows: Sequence[Rendered]) -> int:
        """How many rows hold a control token's text in their content."""
        search, openings = self._pattern.search, self._openings
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
                raise TokenizerError(
                    f"control token {match[0]!r} has single_word set, which is not supported"
                )
            parts.append(("", (token.id, token.lstrip, token.rstrip), 0))
            at = match.end()
        if at < len(text):
            parts.append((text[at:], None, len(text[at:].encode())))
        if len(self._parts) >= _MAX_TEMPLATE_TEXTS:
            self._parts.clear()  # a template that writes ever new text must not fill the memory
        self._parts[text] = parts
        return parts

    def _lay_out(self, row: Rendered, out: Runs) -> None:
        """Append one row's units and segments to `out`."""
        run: list[str] = []
        add_text, add_bytes = run.append, out.segment_bytes.append
        add_piece, add_trained = out.segment_piece.append, out.segment_trained.append
        first_unit = len(out.units)
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
                out.units.append(token[0])
                out.control_piece.append(index)
                out.control_trained.append(piece.trained)
        if run:
            _close_run(run, out, first_unit)
        out.row_ends.append(len(out.units))


def _close_run(run: list[str], out: Runs, first_unit: int) -> None:
    text = "".join(run)
    run.clear()
    if not text:
        return
    out.leads.append(len(out.units) == first_unit)
    out.texts.append(text)
    out.units.append(TEXT)
    out.run_ends.append(len(out.segment_bytes))


def _strip_end(run: list[str], out: Runs) -> None:
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
