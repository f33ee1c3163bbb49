"""Pieces of text become runs: what lies between two control tokens, tokenized as one string.

A control token of the template ends a run and is inserted by its id. Content never holds one,
whatever its text says.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

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

    token: each segment's id, or TEXT. size: its UTF-8 bytes, 0 for a token. piece_segments: how many
    segments each piece has; piece_trained: its mask. row_pieces: how many pieces each row has. texts,
    sizes, leads: the runs, their UTF-8 bytes, and whether each stands at the very start of its row.
    lines: the input line of each row. control_text: whether each row holds the text of a control
    token in its content.
    """

    lines: Sequence[int]
    token: list[int] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    piece_segments: list[int] = field(default_factory=list)
    piece_trained: list[bool] = field(default_factory=list)
    row_pieces: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    leads: list[bool] = field(default_factory=list)
    control_text: list[bool] = field(default_factory=list)

    @property
    def control_text_rows(self) -> int:
        """How many rows hold the text of a control token in their content."""
        return sum(self.control_text)


class _Constant(msgspec.Struct, frozen=True, gc=False):
    """Template text: what it adds to the run before it, tokens, and what begins the run after it.

    Without tokens it is all `head`. token, size: its segments. strips_before, strips_after: the
    white space beside the tokens belongs to them.
    """

    head: str
    head_size: int
    ids: tuple[int, ...]
    tail: str
    tail_size: int
    strips_before: bool
    strips_after: bool
    token: tuple[int, ...]
    size: tuple[int, ...]


class RunBuilder:
    """Makes runs of rendered rows for one tokenizer; `engine` tokenizes the template's constants."""

    def __init__(self, tokenizer: Tokenizer, engine: Engine) -> None:
        self._engine = engine
        self._control = tokenizer.control_tokens
        longest_first = sorted(self._control, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        # A look for the first characters is many times faster than the pattern alone.
        self._openings = tuple({text[:2] for text in self._control})
        self._constants: dict[str, _Constant] = {}

    def build(self, rows: Sequence[Rendered], lines: Sequence[int]) -> Runs:
        """The runs of R rows; `lines` are the R input lines they came from."""
        out = Runs(lines)
        for row in rows:
            self._lay_out(row, out)
        return out

    def _lay_out(self, row: Rendered, out: Runs) -> None:
        """Append one row's segments and runs to `out`."""
        run: list[str] = []
        run_size = 0
        leads, strip, control_text = True, False, False
        constants = self._constants
        for piece in row.pieces:
            text = piece.text
            if piece.content:
                for opening in self._openings:
                    if opening in text:
                        control_text = control_text or self._pattern.search(text) is not None
                if strip:
                    text = text.lstrip(_WHITE)
                    strip = not text
                size = len(text) if text.isascii() else len(text.encode())
                run.append(text)
                run_size += size
                out.token.append(TEXT)
                out.size.append(size)
                out.piece_segments.append(1)
                continue
            constant = constants.get(text) or self._split(text)
            if strip and constant.head:
                constant = self._split(text.lstrip(_WHITE))
                strip = not constant.head
            if constant.head:
                run.append(constant.head)
                run_size += constant.head_size
            elif constant.strips_before:
                run_size -= _strip_end(run, out)
            if constant.ids:
                if run_size:
                    _close_run(run, run_size, leads, out)
                leads, strip = False, constant.strips_after and not constant.tail
                run, run_size = [constant.tail] if constant.tail else [], constant.tail_size
            out.token.extend(constant.token)
            out.size.extend(constant.size)
            out.piece_segments.append(len(constant.token))
        if run_size:
            _close_run(run, run_size, leads, out)
        out.piece_trained.extend([piece.trained for piece in row.pieces])
        out.row_pieces.append(len(row.pieces))
        out.control_text.append(control_text)

    def _split(self, text: str) -> _Constant:
        """Template text taken apart. Remembered: a template has few texts, which recur in every row."""
        known = self._constants.get(text)
        if known is None:
            if len(self._constants) >= _MAX_TEMPLATE_TEXTS:
                self._constants.clear()  # a template that writes ever new text must not fill the memory
            known = self._constants[text] = self._split_anew(text)
        return known

    def _split_anew(self, text: str) -> _Constant:
        matches = list(self._pattern.finditer(text))
        tokens = [self._control[match[0]] for match in matches]
        for token in tokens:
            if token.single_word:
                raise TokenizerError(
                    f"control token {token.content!r} has single_word set, which is not supported"
                )
        head, tail = (text[: matches[0].start()], text[matches[-1].end() :]) if matches else (text, "")
        strips_before = bool(tokens) and tokens[0].lstrip
        strips_after = bool(tokens) and tokens[-1].rstrip
        head = head.rstrip(_WHITE) if strips_before else head
        tail = tail.lstrip(_WHITE) if strips_after else tail
        ids = [token.id for token in tokens[:1]]
        for (left, right), (token, after) in zip(pairwise(matches), pairwise(tokens), strict=True):
            # Text between two control tokens is a run that no data can touch.
            between = text[left.end() : right.start()]
            between = between.lstrip(_WHITE) if token.rstrip else between
            between = between.rstrip(_WHITE) if after.lstrip else between
            ids += [*self._tokenized(between), after.id]
        sizes = (len(head.encode()), len(tail.encode()))
        return _Constant(
            head=head,
            head_size=sizes[0],
            ids=tuple(ids),
            tail=tail,
            tail_size=sizes[1],
            strips_before=strips_before,
            strips_after=strips_after,
            token=(TEXT,) * bool(head) + tuple(ids) + (TEXT,) * bool(tail),
            size=sizes[:1] * bool(head) + (0,) * len(ids) + sizes[1:] * bool(tail),
        )

    def _tokenized(self, text: str) -> list[int]:
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

    Returns the bytes dropped. The run's parts are the last segments of `out`.
    """
    total = 0
    for place in range(1, len(run) + 1):
        kept = run[-place].rstrip(_WHITE)
        dropped = len(run[-place].encode()) - len(kept.encode())
        run[-place] = kept
        out.size[-place] -= dropped
        total += dropped
        if kept:
            break
    return total
