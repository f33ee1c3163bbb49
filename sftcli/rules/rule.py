"""Rule: one thing that may be wrong, with a code that never changes its meaning."""

from typing import Literal

import msgspec

Severity = Literal["error", "warning"]


class Rule(msgspec.Struct, frozen=True):
    """`code` is a family's letter and three digits, `name` what inner code calls it.

    Families: J bytes and JSON, R record shape and roles, C content, T tokens, D data set, V a
    prepared folder. `summary` is one sentence, `example` what breaks the rule, `cure` what to do.
    `default`: whether it is on where nothing is selected.
    """

    code: str
    name: str
    severity: Severity
    summary: str
    example: str
    cure: str
    default: bool = True
