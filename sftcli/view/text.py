"""RowView -> text for a terminal or a log: the row as it reads, with what is trained marked."""

from collections.abc import Iterator, Sequence

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
    for heading, tokens in documents(view, ascii_only):
        if heading:
            yield Rule(heading)
        yield from _spans(tokens)


def _spans(tokens: Sequence[TokenView]) -> Iterator[Span]:
    """Groups of tokens; one is shown as trained where any of its tokens is."""
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
        yield Span(token.text, trained, token.control, token.turn, token.role, losses=heat)
