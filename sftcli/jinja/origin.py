"""Whose text it is: the origin of characters, and runs of characters that share one."""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

NOBODY = -2


class Origin(NamedTuple):
    """Whose text it is: a message (`turn`, -1 for data outside the record's messages) and its field.

    `block` counts the template's `{% generation %}` blocks from 1; 0 is outside of them.
    """

    turn: int
    field: str
    block: int = 0


TEMPLATE = Origin(NOBODY, "")
Run: TypeAlias = tuple[int, Origin]
Runs: TypeAlias = tuple[Run, ...]  # (length, origin), in order; a length of 0 marks a place


def merged(runs: Iterable[Run]) -> Runs:
    """Neighbours of equal origin joined; an empty run stays only where it marks a place of its own."""
    out: list[Run] = []
    for length, origin in runs:
        if out and out[-1][1] == origin:
            out[-1] = (out[-1][0] + length, origin)
        elif length or origin is not TEMPLATE:
            out.append((length, origin))
    return tuple(out)
