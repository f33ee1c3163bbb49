"""RowView -> text for a terminal or a log: the row as it reads, with what is trained marked."""

from collections.abc import Iterator

from sftcli.view.cells import one_line
from sftcli.view.page import Screen, Span, page
from sftcli.view.row import RowView


def show_row(view: RowView, color: bool, width: int, ascii_only: bool = False) -> str:
    """One row in `width` columns, without a line break at the end."""
    screen = Screen(color, width, ascii_only)
    return "\n".join([_header(view, screen), "", *page(_spans(view), screen), "", _counts(view, screen)])


def _spans(view: RowView) -> Iterator[Span]:
    """The row's groups of tokens; one is shown as trained where any of its tokens is."""
    for token in view.tokens:
        if token.group:
            trained = any(other.trained for other in view.tokens[token.i : token.i + token.group])
            yield Span(token.text, trained, token.control, token.turn, token.role)


def _header(view: RowView, screen: Screen) -> str:
    row = f"row {view.row:,}"
    if view.source is None:
        return row
    return f"{one_line(view.source.place, screen.ascii_only)}{screen.marks.dot}{row}"


def _counts(view: RowView, screen: Screen) -> str:
    counts = view.counts
    share = counts.trained / counts.tokens if counts.tokens else 0.0
    trained = screen.paint(f"{counts.trained:,} trained", "text", counts.trained > 0)
    legend = "" if screen.color else ", marked T"
    parts = [_number(counts.tokens, "token"), f"{trained} ({share:.1%}{legend})"]
    if counts.turns is not None:
        parts.append(_number(counts.turns, "turn"))
    return screen.marks.dot.join(parts)


def _number(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
