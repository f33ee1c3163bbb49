"""Histograms for a terminal: a bar a line, with its count, and marks beside it."""

from collections.abc import Sequence

from sftcli.stats.figures import Bin, Spread
from sftcli.view.page import Screen

_EIGHTHS = " ▏▎▍▌▋▊▉"
_MOST_ROOM = 80  # longer bars say no more


def bar(part: float, room: int, ascii_only: bool) -> str:
    """A bar of `part` (0 to 1) of `room` columns; whatever is not nothing can be seen."""
    if part <= 0:
        return ""
    if ascii_only:
        return "#" * max(round(part * room), 1)
    eighths = max(round(part * room * 8), 1)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def labels(bins: Sequence[Bin], screen: Screen) -> list[str]:
    """The range of each bin, all equally wide: `64-127`, `512 or more`, `7`."""
    dash = "-" if screen.ascii_only else "–"
    numbers = [(f"{one.first:,}", f"{one.last:,}") for one in bins]
    left = max((len(first) for first, _ in numbers), default=0)
    right = max((len(last) for _, last in numbers), default=0)
    return [
        f"{first:>{left}}{dash}{last:>{right}}" if first != last else f"{first:>{left}}{'':{right + 1}}"
        for first, last in numbers
    ]


def histogram(bins: Sequence[Bin], spread: Spread | None, screen: Screen) -> list[str]:
    """One line a bin: its range, a bar, its rows, and which percentiles of `spread` fall into it."""
    names, counts = labels(bins, screen), [f"{one.rows:,}" for one in bins]
    marks = [_marks(one, spread) for one in bins]
    wide = max(map(len, counts), default=0)
    taken = 2 + max(map(len, names), default=0) + 2 + 1 + wide + 2 + max(map(len, marks), default=0)
    room = max(min(screen.width - taken, _MOST_ROOM), 5)
    most = max((one.rows for one in bins), default=0)
    lines = []
    for one, name, count, mark in zip(bins, names, counts, marks, strict=True):
        drawn = bar(one.rows / most if most else 0, room, screen.ascii_only)
        line = f"  {name}  {styled(drawn, '36', screen)}{'':{room - len(drawn)}} {count:>{wide}}"
        lines.append(line + ("  " + styled(mark, "1;33", screen) if mark else ""))
    return lines


def paired(left: Sequence[Bin], right: Sequence[Bin], names: tuple[str, str], screen: Screen) -> list[str]:
    """Two lines a bin, for the rows of two sources over the same bins, as shares of each one's rows."""
    totals = [sum(one.rows for one in bins) for bins in (left, right)]
    most = max(
        (
            one.rows / total
            for bins, total in zip((left, right), totals, strict=True)
            for one in bins
            if total
        ),
        default=0.0,
    )
    ranges = labels(left, screen)
    taken = 2 + max(map(len, ranges), default=0) + 2 + 2 + 1 + 6
    room = max(min(screen.width - taken, _MOST_ROOM), 5)
    lines = []
    for pair, label in zip(zip(left, right, strict=True), ranges, strict=True):
        for one, total, name, colour in zip(pair, totals, names, ("36", "35"), strict=True):
            part = one.rows / total if total else 0.0
            drawn = bar(part / most if most else 0, room, screen.ascii_only)
            start = label if one is pair[0] else " " * len(label)
            padded = f"{styled(drawn, colour, screen)}{'':{room - len(drawn)}}"
            lines.append(f"  {start}  {name} {padded} {part:>6.1%}")
    return lines


def styled(text: str, codes: str, screen: Screen) -> str:
    return f"\x1b[{codes}m{text}\x1b[0m" if screen.color and text else text


def _marks(one: Bin, spread: Spread | None) -> str:
    if spread is None:
        return ""
    at = {"50%": spread.p50, "90%": spread.p90, "95%": spread.p95, "99%": spread.p99}
    return " ".join(name for name, value in at.items() if one.first <= value <= one.last)
