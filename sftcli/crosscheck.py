"""Which engine a run uses, and the check of it on the run's own first rows."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from sftcli.batch import TokenBatch
from sftcli.encode import encode_runs
from sftcli.engine import Engine, FastEngine, ReferenceEngine, fast_engine_refusal
from sftcli.errors import TokenizerError
from sftcli.fastload import WORTH_LOADING, begin_loading
from sftcli.rendered import Piece, Rendered
from sftcli.runs import RunBuilder
from sftcli.tokenizer import Tokenizer

if TYPE_CHECKING:
    import fastokens

EngineName = Literal["auto", "fastokens", "tokenizers"]

_ONE_SHOT_ROWS = 32
_SAMPLE_ROWS = 128
_SAMPLE_CHARS = 96_000


class Engines:
    """Loads the engines, the fast one in the background, and hands out the one that was checked.

    `wanted` auto takes the fast engine where the tokenizer allows it and the input is large
    enough to pay for its loading. Both give the same ids, so the choice changes no byte.
    """

    def __init__(self, tokenizer: Tokenizer, wanted: EngineName, input_bytes: int) -> None:
        self.warning: str | None = None
        self._tokenizer, self._wanted = tokenizer, wanted
        self._fast = self._load_fast(wanted, input_bytes)
        self._reference = ReferenceEngine(tokenizer)
        self._chosen: Engine | None = None
        self._sample: list[Rendered] = []
        self.builder = RunBuilder(tokenizer, self._reference)

    def _load_fast(self, wanted: EngineName, input_bytes: int) -> "Future[fastokens.Tokenizer] | None":
        if wanted == "tokenizers" or (wanted == "auto" and input_bytes < WORTH_LOADING):
            return None
        refusal = fast_engine_refusal(self._tokenizer)
        if refusal is None:
            return begin_loading(self._tokenizer.json)
        if wanted == "fastokens":
            raise TokenizerError(f"--encoder fastokens: {refusal}; use --encoder auto")
        return None

    @property
    def name(self) -> str:
        """The chosen engine's name and its version."""
        from importlib.metadata import version

        library = self._chosen.name if self._chosen else self._reference.name
        return f"{library} {version(library)}"

    def offer(self, rows: Sequence[Rendered]) -> None:
        """Keep some of the run's first rows, on which the engine will be checked."""
        if not self._sample:
            self._sample = _first(rows)

    def engine(self) -> Engine:
        """The engine of this run. The first call checks it on the rows that were offered.

        The reference must give the one-shot ids of each row's whole text (rows whose content
        holds control text apart). The fast engine must give what the reference gives, or a
        warning names the first differing text and the reference is used.
        """
        if self._chosen is None:
            self._chosen = self._check(self._sample)
        return self._chosen

    def _check(self, rows: Sequence[Rendered]) -> Engine:
        self._check_one_shot(rows[:_ONE_SHOT_ROWS])
        if self._fast is None:
            return self._reference
        expected = self._encode(rows, self._reference)  # while the fast engine loads
        try:
            fast = FastEngine(self._tokenizer, self._reference, self._fast.result())
        except ValueError as problem:  # fastokens refuses what it does not support
            if self._wanted == "fastokens":
                raise TokenizerError(f"--encoder fastokens: {problem}; use --encoder auto") from None
            self.warning = f"fastokens does not read this tokenizer ({problem}); using tokenizers"
            return self._reference
        if _same(self._encode(rows, fast), expected):
            return fast
        text = self._first_different_row(fast, rows).text[:120]
        self.warning = f"the fast engine differs from the reference on {text!r}; using tokenizers"
        return self._reference

    def _check_one_shot(self, rows: Sequence[Rendered]) -> None:
        for row in rows:
            runs = self.builder.build([row], [0])
            if runs.control_text_rows:
                continue
            ids = encode_runs(runs, self._reference).ids.tolist()
            if ids != self._reference.one_shot(row.text):
                raise TokenizerError(
                    f"tokenizer {self._tokenizer.name!r} encodes this row's pieces and its whole text "
                    f"differently, so its mask cannot be trusted: {row.text[:120]!r}"
                )

    def _first_different_row(self, fast: Engine, rows: Sequence[Rendered]) -> Rendered:
        return next(
            row for row in rows if not _same(self._encode([row], fast), self._encode([row], self._reference))
        )

    def _encode(self, rows: Sequence[Rendered], engine: Engine) -> TokenBatch:
        return encode_runs(self.builder.build(rows, [0] * len(rows)), engine)


def _same(one: TokenBatch, two: TokenBatch) -> bool:
    return np.array_equal(one.ids, two.ids) and np.array_equal(one.trained, two.trained)


def _first(sample: Sequence[Rendered]) -> list[Rendered]:
    """The first rows, of which the first is cut where it alone is too much: the reference is slow."""
    rows: list[Rendered] = []
    chars = 0
    for row in sample[:_SAMPLE_ROWS]:
        chars += len(row.text)
        if chars > _SAMPLE_CHARS:
            return rows or [_head(row, _SAMPLE_CHARS)]
        rows.append(row)
    return rows


def _head(row: Rendered, chars: int) -> Rendered:
    """The row's first pieces, of at most so many characters: the last piece is cut where it is data."""
    pieces: list[Piece] = []
    for piece in row.pieces:
        if len(piece.text) > chars:
            if piece.content:
                pieces.append(msgspec.structs.replace(piece, text=piece.text[:chars]))
            break
        pieces.append(piece)
        chars -= len(piece.text)
    return Rendered.of(pieces)
