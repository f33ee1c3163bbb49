"""Measured: what one pass over a source finds, before anything is computed from it."""

from collections import Counter
from dataclasses import dataclass, field

from sftcli.stats.count import RowCounts
from sftcli.tokenizer import Tokenizer


@dataclass(frozen=True)
class Reason:
    """Rows that were left out for one reason; `first` is the place of the first, None where not known."""

    rows: int
    first: str | None


@dataclass(frozen=True)
class Layout:
    """How the rows of a source are made; `max_length` None: of any length.

    Tokenizers of one name can differ, and one can have two names: the hash of its file tells.
    """

    template: str
    record_format: str
    tokenizer: str
    tokenizer_sha256: str
    train_on: str
    train_on_eos: str
    max_length: int | None


@dataclass
class Turns:
    """The conversations whose rows are written.

    per_conversation: how many conversations have so many messages. roles: how many messages have
    each role. empty_thinking: how many conversations have an answer with an empty think block.
    """

    per_conversation: Counter[int] = field(default_factory=Counter)
    roles: Counter[str] = field(default_factory=Counter)
    empty_thinking: int = 0


@dataclass(frozen=True)
class Measured:
    """A source and its counts.

    `records` are the lines of the input that are not blank, `blank` those that are. `straddles`:
    tokens across a mask boundary, masked and trained. `notes`: rows by what is to be known of them.
    `control_text_rows` and `notes` count the rows that were dropped, too, as a manifest does. What
    the source does not hold is None, and `unknown` says why, by the name of the figure.
    """

    source: str
    kind: str
    layout: Layout
    tokenizer: Tokenizer
    rows: RowCounts
    records: int
    blank: int
    dropped: dict[str, Reason]
    rejected: dict[str, Reason]
    straddles: tuple[int, int]
    control_text_rows: int
    notes: dict[str, int]
    turns: Turns | None
    warnings: tuple[str, ...] = ()
    unknown: dict[str, str] = field(default_factory=dict)
