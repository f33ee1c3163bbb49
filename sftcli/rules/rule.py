"""Rule: one thing that may be wrong, with a code that never changes its meaning."""

from typing import Literal

import msgspec

Severity = Literal["error", "warning"]


class Rule(msgspec.Struct, frozen=True):
    """`code` is a family's letter and three digits, `name` what inner code calls it.

    Families: J bytes and JSON, R record shape and roles, C content, T tokens, D data set, V a
    prepared folder. `summary` is one sentence, `cure` what to do, `default` whether it is on where
    nothing is selected.

    `example` breaks the rule, as lines of a JSONL file or, behind `$ `, as the shell commands that
    write the files; `instead` is the same mended, and breaks none. A byte that is no UTF-8 stands in
    them as a lone surrogate, as in file names. `options`: what `validate` is given beside them.
    """

    code: str
    name: str
    severity: Severity
    summary: str
    example: str
    cure: str
    instead: str = ""
    options: str = ""
    default: bool = True
