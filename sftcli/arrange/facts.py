"""What is known of each row besides its tokens, where its place hangs on it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sftcli.rendered import Rendered

# prompt, whole: the fingerprints. line: counted from the split's first one, from 1. The rest is
# filled in where it is known: tokens, trained tokens, and tokens across a mask boundary by kind.
FACTS = np.dtype(
    [
        ("prompt", np.uint64, 2),
        ("whole", np.uint64, 2),
        ("line", np.int64),
        ("length", np.int32),
        ("trained", np.int32),
        ("straddles", np.int32, 2),
    ]
)
FACTS_OF = "facts"  # their name among the columns that rows carry
NEAR_OF = "near"  # a Sketch of each row, where near duplicates are looked for
NO_PRINTS = bytes(32)  # of rows whose place does not hang on what they say


def facts_of(rows: Sequence[Rendered], lines: Sequence[int], line_in_split: int) -> npt.NDArray[Any]:
    """FACTS[R] of R rows of a block; `lines` are their lines in it, `line_in_split` those before it."""
    prints = np.frombuffer(b"".join(row.prints for row in rows), "<u8").reshape(-1, 4)
    facts = np.zeros(len(rows), FACTS)
    facts["prompt"], facts["whole"] = prints[:, :2], prints[:, 2:]
    facts["line"] = np.array(lines, np.int64) + line_in_split + 1
    return facts
