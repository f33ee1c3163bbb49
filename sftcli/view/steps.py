"""RowView -> the row as the steps in which it is learned: a context, and the one token that follows."""

from sftcli.view.heading import counts_line, head, number
from sftcli.view.page import Screen
from sftcli.view.row import RowView
from sftcli.view.row_line import RowLine
from sftcli.view.targets import notes, predicted, prediction

_FIRST, _LAST = 16, 8


def show_steps(view: RowView, screen: Screen) -> str:
    """One row for each predicted token, with the tokens before it: context to target.

    Of a long row the first and the last steps are shown, and how many are left out; the view
    `targets` has all of them.
    """
    pairs = predicted(view)
    line = RowLine(view, screen)
    contexts = [token.i - start for token, start in pairs]
    digits, sizes = max(4, len(f"{len(pairs):,}")), max([6, *(len(f"{size:,}") for size in contexts)])
    lines = [
        *head(view, screen),
        "",
        f"{'step':>{digits}}  {'tokens':>{sizes}}  context {screen.marks.arrow} target",
    ]
    for index, (token, start) in enumerate(pairs):
        if _FIRST <= index < len(pairs) - _LAST:
            if index == _FIRST:
                left_out = (
                    f"steps {_FIRST + 1:,} to {len(pairs) - _LAST:,} are left out; targets shows them all"
                )
                lines.append(" " * (digits + sizes + 4) + screen.paint(left_out, "mark", False))
            continue
        front = f"{index + 1:>{digits},}  {contexts[index]:>{sizes},}  "
        lines.append(front + prediction(line, token.i, start, screen.width - len(front), screen))
    if not pairs:
        lines.append("no token is predicted")
    lines += notes(view, pairs, screen)
    total = f"{number(len(pairs), 'step')} with {number(sum(contexts), 'context token')}"
    return "\n".join([*lines, "", counts_line(view, screen, total, marked=False)])
