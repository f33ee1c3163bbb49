"""RowView -> a table of its tokens, one to a line."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from sftcli.view.cells import one_line, width_of
from sftcli.view.found import found_below
from sftcli.view.heading import counts_line, documents, head
from sftcli.view.page import Screen, mask_bar, painted, rule_lines
from sftcli.view.row import RowView, TokenView
from sftcli.view.row_line import RowLine

_LEAST_PIECE = 16  # with fewer columns left, others make room
_FOLDED = 3  # more padding than this is one line
_GAP = "  "


class _Column(NamedTuple):
    """`show` gives a token's value; the text is to the left where `left`."""

    name: str
    show: Callable[[TokenView], str]
    left: bool = False


def show_table(view: RowView, screen: Screen) -> str:
    """Each token's place, id, label, weight, loss, origin, turn and role (those known), and its text."""
    columns = [column for column in _columns(screen) if _known(column, view)]
    left_out: list[str] = []
    widths = {column.name: _width(column, view) for column in columns}
    # What a narrow screen has no room for, least missed first.
    for name in ("origin", "role", "turn"):
        if name in widths and screen.width - _used(widths, screen) < _LEAST_PIECE:
            left_out.append(name)
            del widths[name]
    columns = [column for column in columns if column.name in widths]
    names = _GAP.join(_aligned(column, column.name, widths) for column in columns)
    bar = " " * width_of(mask_bar(False, Screen(False, 0)))
    lines = [*head(view, screen), "", f"{names}{_GAP}{bar[int(screen.color) :]} piece"]
    lines += _rows(view, columns, widths, screen)
    if left_out:
        lines += ["", f"too narrow for: {', '.join(left_out)}"]
    return "\n".join([*lines, "", counts_line(view, screen)])


def _rows(view: RowView, columns: list[_Column], widths: dict[str, int], screen: Screen) -> Iterator[str]:
    line, room = RowLine(view, screen), max(screen.width - _used(widths, screen), _LEAST_PIECE // 2)
    for heading, tokens in documents(view, screen.ascii_only):
        if heading:
            yield from rule_lines(heading, screen.width, screen)
        same = 0  # padding tokens like the last, in a row
        for index, token in enumerate(tokens):
            before = tokens[index - 1] if index else None
            same = same + 1 if before and token.padding and before.padding and token.id == before.id else 0
            if same >= _FOLDED:
                after = tokens[index + 1] if index + 1 < len(tokens) else None
                if after is None or not after.padding or after.id != token.id:
                    more = same - _FOLDED + 1
                    yield screen.paint(
                        f"{more:,} more padding tokens like these, to {token.i}", "mark", False
                    )
                continue
            values = _GAP.join(_aligned(column, column.show(token), widths) for column in columns)
            piece = line.piece(token.i, room)
            yield f"{values}{_GAP}{mask_bar(token.trained, screen)} {painted(piece, screen)}".rstrip()
            if not screen.color:
                yield from found_below(piece, _used(widths, screen))


def _columns(screen: Screen) -> list[_Column]:
    return [
        _Column("i", lambda token: str(token.i)),
        _Column("id", lambda token: str(token.id)),
        _Column("label", lambda token: str(token.label)),
        _Column("weight", lambda token: "" if token.weight is None else f"{token.weight:g}"),
        _Column("loss", lambda token: "" if token.loss is None else f"{token.loss:.3f}"),
        _Column("origin", lambda token: "padding" if token.padding else token.origin or "", left=True),
        _Column("turn", lambda token: "" if token.turn is None else str(token.turn)),
        _Column("role", lambda token: one_line(token.role or "", screen.ascii_only), left=True),
    ]


def _known(column: _Column, view: RowView) -> bool:
    return column.name in ("i", "id", "label") or any(map(column.show, view.tokens))


def _width(column: _Column, view: RowView) -> int:
    return max([width_of(column.name), *(width_of(text) for text in set(map(column.show, view.tokens)))])


def _used(widths: dict[str, int], screen: Screen) -> int:
    """The columns that all but the piece take."""
    return sum(widths.values()) + len(_GAP) * len(widths) + (2 if screen.color else 3)


def _aligned(column: _Column, text: str, widths: dict[str, int]) -> str:
    space = " " * (widths[column.name] - width_of(text))
    return text + space if column.left else space + text
