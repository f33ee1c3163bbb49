"""RowView -> the row as the steps in which it is learned: a context, and the one token that follows."""

from textwrap import wrap

from sftcli.view.heading import counts_line, head, number
from sftcli.view.page import Screen
from sftcli.view.row import RowView
from sftcli.view.row_line import RowLine
from sftcli.view.targets import Measures, notes, predicted, prediction

_FIRST, _LAST = 16, 8


def show_steps(view: RowView, screen: Screen) -> str:
    """One row for each predicted token, with its weight, its loss and the tokens before it, its context.

    Of a long row the first and the last steps are shown, and how many are left out; the view
    `targets` has all of them.
    """
    pairs = predicted(view)
    line = RowLine(view, screen)
    contexts = [token.i - start for token, start in pairs]
    digits, sizes = max(4, len(f"{len(pairs):,}")), max([6, *(len(f"{size:,}") for size in contexts)])
    measures = Measures.of(pairs)
    names = f"{'step':>{digits}}  {'tokens':>{sizes}}  {measures.names}"
    lines = [*head(view, screen), "", f"{names}context {screen.marks.arrow} target"]
    hidden = range(_FIRST, len(pairs) - _LAST)
    for index, (token, start) in enumerate(pairs):
        if len(hidden) > 1 and index in hidden:
            if index == hidden[0]:
                said = f"steps {hidden[0] + 1:,} to {hidden[-1] + 1:,} are left out; the view targets has all"
                lines += [screen.paint(part, "mark", False) for part in wrap(said, screen.width)]
            continue
        front = f"{index + 1:>{digits},}  {contexts[index]:>{sizes},}  {measures.cells(token)}"
        lines.append(front + prediction(line, token.i, start, screen.width - len(front), screen))
    if not pairs:
        lines.append("no token is predicted")
    lines += notes(view, pairs, screen)
    total = f"{number(len(pairs), 'step')} with {number(sum(contexts), 'context token')}"
    return "\n".join([*lines, "", counts_line(view, screen, total, marked=False)])
