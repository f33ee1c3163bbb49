"""RowView -> what the loss sees: each position that predicts a trained token, and that token."""

from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

from sftcli.view.cells import fenced
from sftcli.view.heading import counts_line, head, note_lines, number
from sftcli.view.page import Screen, painted
from sftcli.view.row import RowView, TokenView
from sftcli.view.row_line import RowLine, width

_LEAST_ROOM = 16
_LEAST_TARGET = 12


def show_targets(view: RowView, screen: Screen) -> str:
    """A line for each trained token: the position that predicts it, its id, its weight, its loss, and its
    text behind the text before it.

    Labels that are a list of their own are counted from its start. The context begins where a packed
    document does. Labels that no position predicts, or only one of another document, are told of below.
    """
    pairs = predicted(view)
    line = RowLine(view, screen)
    digits = len(str(max(len(view.tokens) - 1, 0)))
    id_width = max([2, *(len(str(token.id)) for token, _ in pairs)])
    measures = Measures.of(pairs)
    arrow, said, columns = screen.marks.arrow, "position i predicts token i+1", ("tokens to i", "token i+1")
    first = 1
    if view.answer is not None:
        said = "label i is predicted from all of input_ids and the labels before it"
        first, columns = view.answer, ("before label i", "label i")
    lines = [*head(view, screen), "", *wrap(said, screen.width), ""]
    lines.append(f"{'i':>{digits}}  {'id':>{id_width}}  {measures.names}{f' {arrow} '.join(columns)}")
    for token, start in pairs:
        front = f"{token.i - first:>{digits}}  {token.id:>{id_width}}  {measures.cells(token)}"
        lines.append(front + prediction(line, token.i, start, screen.width - len(front), screen))
    if not pairs:
        lines.append("no token is predicted")
    lines += notes(view, pairs, screen)
    return "\n".join([*lines, "", counts_line(view, screen, number(len(pairs), "target"), marked=False)])


class Measures(NamedTuple):
    """Which columns of numbers the predicted tokens have: a weight, a loss."""

    weights: bool
    losses: bool

    @classmethod
    def of(cls, pairs: Sequence[tuple[TokenView, int]]) -> "Measures":
        return cls(
            any(token.weight is not None for token, _ in pairs),
            any(token.loss is not None for token, _ in pairs),
        )

    @property
    def names(self) -> str:
        return self._columns("weight", "loss")

    def cells(self, token: TokenView) -> str:
        """What stands in these columns of a token's line."""
        return self._columns(
            "" if token.weight is None else f"{token.weight:g}",
            "" if token.loss is None else f"{token.loss:.3f}",
        )

    def _columns(self, weight: str, loss: str) -> str:
        return f"{weight:>6}  " * self.weights + f"{loss:>7}  " * self.losses


def predicted(view: RowView) -> list[tuple[TokenView, int]]:
    """The trained tokens that a position predicts, each with the token at which its context begins."""
    pairs = []
    starts = {0, *(place for bounds in view.bounds for place in bounds)}
    start = 0
    for token in view.tokens:
        if token.i in starts or token.padding:  # padding is not attended to
            start = token.i + token.padding
        if token.trained and token.i:
            pairs.append((token, start))
    return pairs


def notes(view: RowView, pairs: list[tuple[TokenView, int]], screen: Screen) -> list[str]:
    """What is odd about a row's labels, a blank line before it; empty where nothing is."""
    found = []
    if view.tokens and view.tokens[0].trained:
        found.append("token 0 has a label, but no position predicts it: it is in no loss")
    if alone := [token.i for token, start in pairs if token.i == start]:
        places = ", ".join(map(str, alone[:5])) + (", ..." if len(alone) > 5 else "")
        found.append(f"nothing of its own document stands before token {places}, and it has a label")
    return ["", *(part for text in found for part in note_lines("label", text, screen))] if found else []


def prediction(line: RowLine, token: int, start: int, room: int, screen: Screen) -> str:
    """The end of the text before a token, an arrow, and the token, in `room` columns."""
    arrow = f" {screen.marks.arrow} "
    room = max(room - len(arrow), _LEAST_ROOM)
    piece = line.piece(token, max(room // 3, _LEAST_TARGET))
    before = line.before(token, start, room - width(piece)) if start < token else []
    return fenced(painted(before, screen)) + arrow + painted(piece, screen)
