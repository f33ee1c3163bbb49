"""How far a run is, as it goes."""

from collections.abc import Callable
from typing import NamedTuple


class Step(NamedTuple):
    """What was done since it was last told: bytes of input, tokens encoded, and bad records."""

    bytes: int
    tokens: int
    bad: int


Progress = Callable[[Step], None]
NOTHING = Step(0, 0, 0)
