"""Rows -> the side that each belongs to, as they come."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from sftcli.arrange.asked import TRAIN, VALIDATION, ValidationAsked
from sftcli.arrange.facts import FACTS_OF
from sftcli.arrange.order import is_validation
from sftcli.batch import Rows

Write = Callable[[Rows], None]


@dataclass
class Given:
    """Rows that a source gives to the output, before they are packed, each as often as it stands."""

    rows: int = 0
    tokens: int = 0
    trained_tokens: int = 0

    def add(self, other: "Given") -> None:
        self.rows += other.rows
        self.tokens += other.tokens
        self.trained_tokens += other.trained_tokens

    def count(self, rows: Rows) -> None:
        self.rows += len(rows)
        self.tokens += len(rows.ids)
        self.trained_tokens += int(rows.trained.sum())


def by_side(writes: Mapping[str, Write], asked: ValidationAsked | None, given: Given) -> Write:
    """Hands rows on to `train` or `validation`, by the fingerprints of their prompts; they carry FACTS.

    Where nothing is asked for, all of them go to `train`.
    """

    def write(rows: Rows) -> None:
        given.count(rows)
        if asked is None:
            writes[TRAIN](rows)
            return
        facts: npt.NDArray[Any] = rows.carried[FACTS_OF]
        bare = replace(rows, carried={name: held for name, held in rows.carried.items() if name != FACTS_OF})
        held = is_validation(facts["prompt"], asked)
        for side, chosen in ((TRAIN, ~held), (VALIDATION, held)):
            if chosen.any():
                writes[side](bare.select(chosen))

    return write
