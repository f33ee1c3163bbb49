"""RowView -> one line per run of equal mask: the shortest account of a row that leaves nothing out."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from sftcli.view.cells import width_of
from sftcli.view.found import found_below
from sftcli.view.heading import counts_line, documents, head, number
from sftcli.view.page import Screen, painted, rule_lines
from sftcli.view.row import RowView, TokenView
from sftcli.view.row_line import RowLine, shortened, with_mask

_LEAST_TEXT = 8
_NARROW = 50


class _Run(NamedTuple):
    """Tokens of one document that are all trained (with one weight), all masked or all padding."""

    first: int
    last: int
    mask: str
    weight: str
    loss: str

    @property
    def tokens(self) -> str:
        return f"{self.last - self.first + 1:,}"

    @property
    def range(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def show_runs(view: RowView, screen: Screen) -> str:
    """Each run's positions, length, mask, weight and mean loss where there are any, and text in quotes.

    A text that is too long for the line is cut in the middle, with the number of characters that
    are left out. A run ends where a packed document ends.
    """
    parts = [(heading, _runs(tokens)) for heading, tokens in documents(view, screen.ascii_only)]
    runs = [run for _, found in parts for run in found]
    weight, loss = (
        ("weight" if any(r.weight for r in runs) else ""),
        "loss" if any(r.loss for r in runs) else "",
    )
    names = _Row("range", "tokens", "mask", weight, loss)
    rows = [names, *map(_row, runs)]
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    line, narrow = RowLine(view, screen), screen.width < _NARROW
    lines = [*head(view, screen), "", f"{_start(names, widths, narrow)}text"]
    for heading, found in parts:
        lines += rule_lines(heading, screen.width, screen) if heading else []
        for run in found:
            start = _start(_row(run), widths, narrow)
            text, below = _text(view, line, run, screen, width_of(start))
            lines += [_coloured(start, run, screen) + text, *below]
    return "\n".join([*lines, "", counts_line(view, screen, number(len(runs), "run"), marked=False)])


class _Row(NamedTuple):
    positions: str
    tokens: str
    mask: str
    weight: str
    loss: str


def _row(run: _Run) -> _Row:
    return _Row(run.range, run.tokens, run.mask, run.weight, run.loss)


def _runs(tokens: Sequence[TokenView]) -> list[_Run]:
    runs = []
    for (mask, weight), same in groupby(tokens, lambda token: (_mask(token), _weight(token))):
        run = list(same)
        losses = [token.loss for token in run if token.loss is not None]
        loss = f"{sum(losses) / len(losses):.3f}" if losses else ""
        runs.append(_Run(run[0].i, run[-1].i, mask, weight, loss))
    return runs


def _weight(token: TokenView) -> str:
    return f"{token.weight:g}" if token.trained and token.weight is not None else ""


def _mask(token: TokenView) -> str:
    return "padding" if token.padding and not token.trained else "trained" if token.trained else "masked"


def _start(row: _Row, widths: list[int], narrow: bool) -> str:
    positions, tokens, mask, *more = widths
    columns = [f"{row.positions:<{positions}}", f"{row.tokens:>{tokens}}", f"{row.mask:<{mask}}"]
    columns += [f"{text:>{width}}" for text, width in zip((row.weight, row.loss), more, strict=True) if width]
    gap = " " if narrow else "  "
    return gap.join(columns) + gap


def _text(view: RowView, line: RowLine, run: _Run, screen: Screen, indent: int) -> tuple[str, list[str]]:
    """The text, which begins in column `indent`, and the lines below that say more of it."""
    tokens, room = view.tokens[run.first : run.last + 1], max(screen.width - indent, _LEAST_TEXT)
    if run.mask == "padding" and len({token.id for token in tokens}) == 1:
        return painted(line.piece(run.first, room), screen) + f" x {len(tokens):,}", []
    first, stop = line.starts[run.first], line.starts[run.last + 1]
    found = shortened(line.chars(first, stop), stop, room - 2, screen)
    text = painted(with_mask(found, run.mask == "trained"), screen)
    return f'"{text}"', [] if screen.color else found_below(found, indent + 1)


def _coloured(start: str, run: _Run, screen: Screen) -> str:
    return start.replace(run.mask, screen.paint(run.mask, "text", run.mask == "trained"))
