"""RowView -> text for a terminal or a log: the row as it reads, with what is trained marked."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from sftcli.view.heading import counts_line, documents, head
from sftcli.view.heat import legend
from sftcli.view.page import Rule, Screen, Span, page
from sftcli.view.row import RowView, TokenView


def show_text(view: RowView, screen: Screen) -> str:
    """One row as running text, without a line break at the end."""
    lines = [*head(view, screen), "", *page(_items(view, screen.ascii_only), screen), ""]
    if any(token.loss is not None for token in view.tokens):
        lines.append(legend(screen.color, screen.deep))
    return "\n".join([*lines, counts_line(view, screen)])


def _items(view: RowView, ascii_only: bool) -> Iterator[Span | Rule]:
    starts = [0, *accumulate(len(token.text) for token in view.tokens)]
    for heading, tokens in documents(view, ascii_only):
        if heading:
            yield Rule(heading)
        yield from _spans(tokens, view, starts)


def _spans(tokens: Sequence[TokenView], view: RowView, starts: Sequence[int]) -> Iterator[Span]:
    """Groups of tokens; one is shown as trained where any of its tokens is.

    `starts`: where each token of the row begins in the row's text.
    """
    at = 0
    while at < len(tokens):
        token, first = tokens[at], at
        if token.padding:
            while at < len(tokens) and tokens[at].padding and tokens[at].id == token.id:
                at += 1
            yield Span(token.text, False, token.control, token.turn, token.role, padding=at - first)
            continue
        at += 1
        while at < len(tokens) and tokens[at].group == 0:
            at += 1
        group = tokens[first:at]
        trained = any(other.trained for other in group)
        losses = [other.loss for other in group if other.loss is not None]
        heat = ((0, sum(losses)),) if losses else ()
        found = _within(view.found, starts[token.i], starts[token.i + 1])
        yield Span(token.text, trained, token.control, token.turn, token.role, losses=heat, found=found)


def _within(found: Sequence[tuple[int, int]], start: int, stop: int) -> tuple[tuple[int, int], ...]:
    """What of these stretches lies in the text from `start` to `stop`, counted from there."""
    first = bisect_right(found, start, key=lambda place: place[1])
    last = bisect_left(found, stop, key=lambda place: place[0])
    return tuple((max(a, start) - start, min(b, stop) - start) for a, b in found[first:last])
