"""Pieces of text become runs: what lies between two control tokens, tokenized as one string.

A control token of the template ends a run and is inserted by its id. Content never holds one,
whatever its text says.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise

import msgspec
import numpy as np
import numpy.typing as npt

from sftcli.batch import Objects
from sftcli.engine import Engine
from sftcli.errors import TokenizerError
from sftcli.rendered import Outline, Rendered
from sftcli.run_plan import DATA, TEXT, WHITE, Int32s, PlanInMaking, RunPlan
from sftcli.tokenizer import Tokenizer

Ints = npt.NDArray[np.int64]

_MAX_TEMPLATE_TEXTS = 4096
_MAX_PLANS = 4096
_MAX_KEPT_PIECES = 512


@dataclass(frozen=True, slots=True)
class Runs:
    """A batch of R rows as S segments: a segment is one known token, or what a piece gives to a run.

    token: int32[S], each segment's id, or TEXT. size: int64[S], its UTF-8 bytes, 0 for a token.
    piece, trained: int32[S] and bool[S], its piece (its index in the row) and mask. row_segments:
    int64[R], how many segments each row has. outlines: the R rows' own. texts: the N runs; sizes:
    int64[N], their UTF-8 bytes; leads: bool[N], whether each stands at the very start of its row. lines:
    the input line of each row. control_text: whether each row holds the text of a control token in its
    content. carried: columns of R values that go with the rows, by name.
    """

    lines: Sequence[int]
    outlines: Sequence[Outline]
    token: npt.NDArray[np.int32]
    size: Ints
    piece: npt.NDArray[np.int32]
    trained: npt.NDArray[np.bool_]
    row_segments: Ints
    texts: list[str]
    sizes: Ints
    leads: npt.NDArray[np.bool_]
    control_text: list[bool]
    carried: Mapping[str, Objects] = field(default_factory=dict)

    @property
    def control_text_rows(self) -> int:
        """How many rows hold the text of a control token in their content."""
        return sum(self.control_text)


class _Constant(msgspec.Struct, frozen=True, gc=False):
    """Template text: what it adds to the run before it, tokens, and what begins the run after it.

    Without tokens it is all `head`. strips_before, strips_after: the white space beside the tokens
    belongs to them.
    """

    head: str
    ids: tuple[int, ...]
    tail: str
    strips_before: bool
    strips_after: bool


class RunBuilder:
    """Makes runs of rendered rows for one tokenizer; `engine` tokenizes the template's constants."""

    def __init__(self, tokenizer: Tokenizer, engine: Engine) -> None:
        self._engine = engine
        self._control = tokenizer.control_tokens
        longest_first = sorted(self._control, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._openings = tuple({(text[0], text[:2]) for text in self._control})
        self._constants: dict[str, _Constant] = {}
        self._plans: dict[tuple[Outline, frozenset[int]], RunPlan] = {}
        self._whole: dict[Outline, RunPlan] = {}  # the plans of rows whose data is all there

    def build(self, rows: Sequence[Rendered], lines: Sequence[int]) -> Runs:
        """The runs of R rows; `lines` are the R input lines they came from."""
        known = self._whole
        outlines = [row.outline for row in rows]
        plans = [known.get(outline) or self._plan(outline) for outline in outlines]
        data = [row.data for row in rows]
        flat = list(chain.from_iterable(data))
        control_text = self._holds_control_text(flat, data)
        different = dict.fromkeys(plans)
        if "" in flat or any(plan.strips for plan in different):
            for index, row in enumerate(rows):
                if plans[index].strips or "" in row.data:
                    plans[index], data[index] = self._stripped(row)
            flat, different = list(chain.from_iterable(data)), dict.fromkeys(plans)
        sizes = [len(text) if text.isascii() else len(text.encode()) for text in flat]
        if all(plan.around is not None for plan in different):
            around = chain.from_iterable([plan.around or () for plan in plans])
            texts = [before + text + after for (before, after), text in zip(around, flat, strict=True)]
        else:
            texts = list(
                chain.from_iterable([plan.texts(own) for plan, own in zip(plans, data, strict=True)])
            )
        return _joined(plans, outlines, texts, sizes, lines, control_text)

    def _holds_control_text(self, flat: Sequence[str], data: Sequence[Sequence[str]]) -> list[bool]:
        """For each row whether its data holds a control token's text; `flat` is the data of all rows."""
        found = [False] * len(data)
        # A look for one character, then for two, is many times faster than the pattern alone.
        suspects = [
            index
            for first, opening in self._openings
            for index, text in enumerate(flat)
            if first in text and opening in text
        ]
        if suspects:
            ends = np.cumsum([len(own) for own in data])
            for index, row in zip(suspects, np.searchsorted(ends, suspects, "right").tolist(), strict=True):
                found[row] = found[row] or self._pattern.search(flat[index]) is not None
        return found

    def _stripped(self, row: Rendered) -> tuple[RunPlan, list[str]]:
        """The row's plan and data where control tokens take in the white space beside them.

        Data of which nothing is left is no data: then what stands beyond it is stripped in turn.
        """
        data = row.data
        empty = frozenset(index for index, text in enumerate(data) if not text)
        while True:
            plan = self._plan(row.outline, empty)
            left = plan.strip(data)
            emptied = {index for index, text in enumerate(left) if not text} - empty
            if not emptied:
                return plan, [text for index, text in enumerate(left) if index not in empty]
            empty |= emptied

    def _plan(self, outline: Outline, empty: frozenset[int] = frozenset()) -> RunPlan:
        """How rows of an outline become runs, the pieces of data in `empty` left out. Remembered."""
        plan = self._plans.get((outline, empty))
        if plan is None:
            plan = self._plan_anew(outline, empty)
            if len(outline.pieces) <= _MAX_KEPT_PIECES:
                if len(self._plans) >= _MAX_PLANS:
                    self._plans.clear()
                    self._whole.clear()
                self._plans[outline, empty] = plan
                if not empty:
                    self._whole[outline] = plan
        return plan

    def _plan_anew(self, outline: Outline, empty: frozenset[int]) -> RunPlan:
        making = PlanInMaking(self._tokenized)
        strip = False
        hole = -1
        for index, piece in enumerate(outline.pieces):
            if piece.content:
                hole += 1
                if hole not in empty:
                    making.add_data(hole, index, piece.trained, strip)
                    strip = False
                continue
            constant = self._split(piece.text)
            if strip and constant.head:
                constant = self._split(piece.text.lstrip(WHITE))
                strip = not constant.head
            if constant.head:
                making.add_text(constant.head, index, piece.trained)
            elif constant.strips_before:
                making.strip_end()
            if constant.ids:
                making.add_tokens(constant.ids, index, piece.trained)
                strip = constant.strips_after and not constant.tail
            if constant.tail:
                making.add_text(constant.tail, index, piece.trained)
        return making.plan()

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
        head = head.rstrip(WHITE) if strips_before else head
        tail = tail.lstrip(WHITE) if strips_after else tail
        ids = [token.id for token in tokens[:1]]
        for (left, right), (token, after) in zip(pairwise(matches), pairwise(tokens), strict=True):
            # Text between two control tokens is a run that no data can touch.
            between = text[left.end() : right.start()]
            between = between.lstrip(WHITE) if token.rstrip else between
            between = between.rstrip(WHITE) if after.lstrip else between
            ids += [*self._tokenized(between), after.id]
        return _Constant(head, tuple(ids), tail, strips_before, strips_after)

    def _tokenized(self, text: str, leads: bool = False) -> list[int]:
        if not text:
            return []
        size = np.array([len(text.encode())], np.int64)
        ids: list[int] = self._engine.encode([text], size, np.array([leads])).ids.tolist()
        return ids


def _joined(
    plans: list[RunPlan],
    outlines: list[Outline],
    texts: list[str],
    sizes: list[int],
    lines: Sequence[int],
    control_text: list[bool],
) -> Runs:
    """The plans' segments and runs laid end to end; `sizes` are those of the data, in order."""
    numbers = {plan: number for number, plan in enumerate(dict.fromkeys(plans))}
    which = np.array([numbers[plan] for plan in plans], np.int64)
    segments, row_segments = _in_rows([plan.segments for plan in numbers], which, 4)
    runs, _ = _in_rows([plan.runs for plan in numbers], which, 2)
    token, size = segments[:, 0], segments[:, 1].astype(np.int64)
    size[size == DATA] = sizes
    run_starts = np.cumsum(runs[:, 0]) - runs[:, 0]
    return Runs(
        lines=lines,
        outlines=outlines,
        token=token,
        size=size,
        piece=segments[:, 2],
        trained=segments[:, 3].astype(np.bool_),
        row_segments=row_segments,
        texts=texts,
        sizes=np.add.reduceat(size[token == TEXT], run_starts) if len(run_starts) else run_starts,
        leads=runs[:, 1].astype(np.bool_),
        control_text=control_text,
    )


def _in_rows(tables: Sequence[Int32s], which: Ints, width: int) -> tuple[Int32s, Ints]:
    """The tables (int32[*, width]) laid end to end, as `which` (int64[R]) names them for each row.

    Also int64[R]: how many lines each row's table has.
    """
    lengths = np.array([len(table) for table in tables], np.int64)
    firsts = np.cumsum(lengths) - lengths
    counts = lengths[which]
    stops = np.cumsum(counts)
    lines = np.arange(stops[-1] if len(stops) else 0) + np.repeat(firsts[which] - stops + counts, counts)
    # Many times faster than to index with them.
    return np.concatenate([np.zeros((0, width), np.int32), *tables]).take(lines, axis=0), counts
