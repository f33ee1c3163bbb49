"""What was looked for, in cells: which of them it is, and the line that points at them."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from sftcli.view.cells import Cell


def set_found(line: list[Cell], found: Sequence[tuple[int, int]], stop: int) -> None:
    """Mark the cells that these stretches of the text reach into; the text of the line ends at `stop`."""
    places = [cell.place for cell in line]
    for first, past in found:
        if line and past > places[0] and first < stop:
            for cell in line[max(bisect_right(places, first) - 1, 0) : bisect_left(places, past)]:
                cell.found = True


def found_below(line: Sequence[Cell], indent: int) -> list[str]:
    """The line below that points at what was found, where there is any."""
    if not any(cell.found for cell in line):
        return []
    return [(" " * indent + "".join(" ^"[cell.found] * cell.width for cell in line)).rstrip()]
