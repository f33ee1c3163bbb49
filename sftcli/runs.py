"""Pieces of text become runs: what lies between two control tokens, tokenized as one string.

A control token of the template ends a run and is inserted by its id. Content never holds one,
whatever its text says.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from sftcli.engine import Engine
from sftcli.errors import TokenizerError
from sftcli.render import Rendered
from sftcli.tokenizer import Tokenizer

TEXT = -1  # stands in place of an id where a segment is text
# What `\s` means to the tokenizers library (Unicode White_Space); str.strip() takes more.
_WHITE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_MAX_TEMPLATE_TEXTS = 4096


@dataclass(slots=True)
class Runs:
    """A batch of R rows as segments: a segment is one known token, or what a piece gives to a run.

    token: the segment's id, or TEXT. piece, trained: its piece's index in the row, and its mask.
    size: its UTF-8 bytes, 0 for a token. row_ends: where each row ends in segments. texts, sizes,
    leads: the runs, their UTF-8 bytes, and whether each stands at the very start of its row.
    lines: the input line of each row. control_text_rows: how many rows hold the text of a control
    token in their content.
    """

    lines: Sequence[int]
    token: list[int] = field(default_factory=list)
    piece: list[int] = field(default_factory=list)
    trained: list[bool] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    row_ends: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    leads: list[bool] = field(default_factory=list)
    control_text_rows: int = 0


class _Part(msgspec.Struct, frozen=True, gc=False):
    """Template text that is in a run (`text`, of `size` bytes), or tokens that end one (`ids`).

    strips_before, strips_after: the white space beside it that belongs to the tokens.
    """

    text: str
    size: int
    ids: tuple[int, ...] = ()
    strips_before: bool = False
    strips_after: bool = False


_CONTENT = (None,)  # in place of parts: content is one part, its own text


class RunBuilder:
    """Makes runs of rendered rows for one tokenizer; `engine` tokenizes the template's constants."""

    def __init__(self, tokenizer: Tokenizer, engine: Engine) -> None:
        self._engine = engine
        self._control = tokenizer.control_tokens
        longest_first = sorted(self._control, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        # A look for the first characters is many times faster than the pattern alone.
        self._openings = tuple({text[:2] for text in self._control})
        self._parts: dict[str, list[_Part]] = {}

    def build(self, rows: Sequence[Rendered], lines: Sequence[int]) -> Runs:
        """The runs of R rows; `lines` are the R input lines they came from."""
        out = Runs(lines)
        for row in rows:
            self._lay_out(row, out)
        return out

    def _lay_out(self, row: Rendered, out: Runs) -> None:
        """Append one row's segments and runs to `out`."""
        add_token, add_piece = out.token.append, out.piece.append
        add_trained, add_size = out.trained.append, out.size.append
        run: list[str] = []
        run_size = 0
        leads, strip, control_text = True, False, False
        for index, piece in enumerate(row.pieces):
            trained = piece.trained
            for part in _CONTENT if piece.content else self._split(piece.text):
                if part is None:
                    text = piece.text
                    size = len(text) if text.isascii() else len(text.encode())
                    for opening in self._openings:
                        if opening in text:
                            control_text = control_text or self._pattern.search(text) is not None
                elif part.ids:
                    if part.strips_before:
                        run_size -= _strip_end(run, out)
                    if run:
                        _close_run(run, run_size, leads, out)
                        run, run_size = [], 0
                    leads, strip = False, part.strips_after
                    for token in part.ids:
                        add_token(token)
                        add_piece(index)
                        add_trained(trained)
                        add_size(0)
                    continue
                else:
                    text, size = part.text, part.size
                if strip:
                    text = text.lstrip(_WHITE)
                    size = len(text.encode())
                    strip = not text
                if text:
                    run.append(text)
                    run_size += size
                    add_token(TEXT)
                    add_piece(index)
                    add_trained(trained)
                    add_size(size)
        if run:
            _close_run(run, run_size, leads, out)
        out.row_ends.append(len(out.token))
        out.control_text_rows += control_text

    def _split(self, text: str) -> list[_Part]:
        """Template text as parts. Remembered: a template has few texts, which recur in every row."""
        known = self._parts.get(text)
        if known is None:
            if len(self._parts) >= _MAX_TEMPLATE_TEXTS:
                self._parts.clear()  # a template that writes ever new text must not fill the memory
            known = self._parts[text] = self._split_anew(text)
        return known

    def _split_anew(self, text: str) -> list[_Part]:
        parts: list[_Part] = []
        at = 0
        for match in self._pattern.finditer(text):
            token = self._control[match[0]]
            if token.single_word:
                raise TokenizerError(
                    f"control token {match[0]!r} has single_word set, which is not supported"
                )
            between = text[at : match.start()]
            at = match.end()
            if not parts or not parts[-1].ids:
                if between:
                    parts.append(_Part(between, len(between.encode())))
                parts.append(_Part("", 0, (token.id,), token.lstrip, token.rstrip))
                continue
            # Text between two control tokens is a run that no data can touch.
            last = parts[-1]
            between = between.lstrip(_WHITE) if last.strips_after else between
            between = between.rstrip(_WHITE) if token.lstrip else between
            ids = (*last.ids, *self._constant(between), token.id)
            parts[-1] = msgspec.structs.replace(last, ids=ids, strips_after=token.rstrip)
        if at < len(text):
            parts.append(_Part(text[at:], len(text[at:].encode())))
        return parts

    def _constant(self, text: str) -> list[int]:
        if not text:
            return []
        size = np.array([len(text.encode())], np.int64)
        ids: list[int] = self._engine.encode([text], size, np.zeros(1, np.bool_)).ids.tolist()
        return ids


def _close_run(run: list[str], size: int, leads: bool, out: Runs) -> None:
    out.texts.append("".join(run))
    out.sizes.append(size)
    out.leads.append(leads)


def _strip_end(run: list[str], out: Runs) -> int:
    """Drop the white space at a run's end, which the control token after it takes in (lstrip).

    Returns the bytes dropped.
    """
    total = 0
    while run:
        kept = run[-1].rstrip(_WHITE)
        dropped = len(run[-1].encode()) - len(kept.encode())
        total += dropped
        if kept:
            run[-1] = kept
            out.size[-1] -= dropped
            break
        run.pop()
        out.token.pop()
        out.piece.pop()
        out.trained.pop()
        out.size.pop()
    return total
