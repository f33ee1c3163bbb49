"""Measured -> Figures: every number that stats shows; the fields' names are the keys of `--json`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sftcli.packing import bins_needed
from sftcli.stats.distribution import Distribution
from sftcli.stats.measure import Layout, Measured, Reason, Turns
from sftcli.stats.padding import padded_at_random, padded_sorted
from sftcli.view.row import token_texts

LIMITS = (512, 1024, 2048, 4096, 8192, 16384)
SHORT_LIMITS = (64, 128, 256)  # before those, where no row is longer than the least of them
BATCHES = (8, 32)
PERCENTILES = (50, 90, 95, 99)
_PACK_LENGTH = 4096
_BINS = 16
_FIRST_TOKENS = 10


@dataclass(frozen=True)
class Spread:
    """Of the values of all rows: percentiles are by nearest rank, so each is a value of some row."""

    min: int
    mean: float
    p50: int
    p90: int
    p95: int
    p99: int
    max: int


@dataclass(frozen=True)
class Limit:
    """Rows longer than `limit` tokens; the tokens lost where they are dropped, and where they are cut."""

    limit: int
    rows: int
    share: float
    tokens_dropped: int
    tokens_cut: int


@dataclass(frozen=True)
class Padding:
    """The share of padding in batches of `batch` rows, in random order (expected) and sorted by length."""

    batch: int
    random: float
    random_tokens: float
    sorted: float
    sorted_tokens: int


@dataclass(frozen=True)
class Packing:
    """Rows packed into `bins` sequences of `length` tokens, by best-fit decreasing, none of them split.

    `fill` is the share of the sequences' tokens that are no padding, None where there are none.
    `rows_too_long` fit into no sequence and are left out.
    """

    length: int
    bins: int
    fill: float | None
    rows_too_long: int


@dataclass(frozen=True)
class FirstToken:
    """How many rows have this as their first trained token."""

    id: int
    text: str
    rows: int
    share: float


@dataclass(frozen=True)
class Bin:
    """Rows of `first` to `last` tokens, or percent."""

    first: int
    last: int
    rows: int


@dataclass(frozen=True)
class TurnFigures:
    """Of the conversations that became rows: messages per conversation, and messages by role."""

    conversations: int
    spread: Spread
    roles: dict[str, int]


@dataclass(frozen=True)
class Figures:
    """All figures of one source. Where rows are missing or a source cannot know, a figure is None.

    Shares are fractions of 1, trained_percent whole percents. `documents` are the rows that
    were packed into those of the source. `unknown` says why a figure is None.
    """

    source: str
    kind: str
    layout: Layout
    records: int
    rows: int
    tokens: int
    trained_tokens: int
    trained_share: float | None
    dropped: dict[str, Reason]
    rejected: dict[str, Reason]
    blank_lines: int
    lengths: Spread | None
    trained_lengths: Spread | None
    trained_percent: Spread | None
    documents: int | None
    document_lengths: Spread | None
    limits: list[Limit]
    padding: list[Padding]
    packing: Packing | None
    turns: TurnFigures | None
    straddling_tokens: dict[str, int]
    control_text_rows: int
    empty_thinking_rows: int | None
    notes: dict[str, int]
    first_trained: list[FirstToken]
    length_histogram: list[Bin]
    trained_percent_histogram: list[Bin]
    unknown: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Plain data, keys in the order above."""
        return asdict(self)


def figures(
    measured: Sequence[Measured],
    pack_length: int | None = None,
    limits: Sequence[int] | None = None,
    batches: Sequence[int] = BATCHES,
) -> list[Figures]:
    """Compute everything, for each source on the same scale: equal bins, equal length of packing.

    The first trained tokens are those that are among the ten most frequent of any source.
    `pack_length` None: the least of LIMITS that no row exceeds, or 4,096. `limits` None:
    LIMITS, after SHORT_LIMITS where all rows are short.
    """
    every = [Distribution.of(one.rows.lengths) for one in measured]
    together = sum(every[1:], every[0])
    starts, longest = together.bin_starts(_BINS), int(together.values[-1]) if len(together) else 0
    if pack_length is None:
        pack_length = next((limit for limit in LIMITS if longest <= limit), _PACK_LENGTH)
    if limits is None:
        limits = (*SHORT_LIMITS, *LIMITS) if 0 < longest <= LIMITS[0] else LIMITS
    scale = _Scale(starts, longest, pack_length, limits, batches)
    return [
        _figures(one, lengths, firsts, scale)
        for one, lengths, firsts in zip(measured, every, _shown_firsts(measured), strict=True)
    ]


@dataclass(frozen=True)
class _Scale:
    """What all sources are measured by."""

    starts: list[int]
    longest: int
    pack_length: int
    limits: Sequence[int]
    batches: Sequence[int]


def _figures(measured: Measured, lengths: Distribution, firsts: list[int], scale: _Scale) -> Figures:
    counts, turns = measured.rows, measured.turns
    trained, shares = Distribution.of(counts.trained), Distribution.of(counts.shares)
    known = turns is not None and "turns" not in measured.unknown
    return Figures(
        source=measured.source,
        kind=measured.kind,
        layout=measured.layout,
        records=measured.records,
        rows=len(lengths),
        tokens=lengths.total,
        trained_tokens=trained.total,
        trained_share=share(trained.total, lengths.total),
        dropped=measured.dropped,
        rejected=measured.rejected,
        blank_lines=measured.blank,
        lengths=_spread(lengths),
        trained_lengths=_spread(trained),
        trained_percent=_spread(shares),
        documents=counts.documents.total() or None,
        document_lengths=_spread(Distribution.of(counts.documents)),
        limits=[_limit(lengths, limit) for limit in scale.limits],
        padding=[_padding(lengths, batch) for batch in scale.batches] if len(lengths) else [],
        packing=_packing(lengths, scale.pack_length) if len(lengths) else None,
        turns=_turns(turns) if turns is not None and known else None,
        straddling_tokens={"masked": measured.straddles[0], "trained": measured.straddles[1]},
        control_text_rows=measured.control_text_rows,
        empty_thinking_rows=turns.empty_thinking if turns is not None else None,
        notes=measured.notes,
        first_trained=_first_trained(measured, firsts),
        length_histogram=bins(lengths, scale.starts, scale.longest),
        trained_percent_histogram=bins(shares, list(range(0, 100, 5)), 100),
        unknown=measured.unknown,
    )


def share(part: float, whole: float) -> float | None:
    """The fraction, to a millionth, or None of nothing."""
    return round(part / whole, 6) if whole else None


def bins(values: Distribution, starts: list[int], last: int) -> list[Bin]:
    """The rows from each start to the next, and from the last one to `last`."""
    lasts = [start - 1 for start in starts[1:]] + [last] * bool(starts)
    rows = values.in_bins(starts)
    return [Bin(first, end, number) for first, end, number in zip(starts, lasts, rows, strict=True)]


def _spread(values: Distribution) -> Spread | None:
    rows = len(values)
    if not rows:
        return None
    p50, p90, p95, p99 = map(values.percentile, PERCENTILES)
    mean = round(values.total / rows, 2)
    return Spread(int(values.values[0]), mean, p50, p90, p95, p99, int(values.values[-1]))


def _limit(lengths: Distribution, limit: int) -> Limit:
    rows, tokens = lengths.above(limit)
    part = share(rows, len(lengths)) or 0.0
    return Limit(limit, rows, part, tokens_dropped=tokens, tokens_cut=tokens - rows * limit)


def _padding(lengths: Distribution, batch: int) -> Padding:
    tokens = lengths.total
    random, in_order = padded_at_random(lengths, batch), padded_sorted(lengths, batch)
    return Padding(
        batch=batch,
        random=share(random - tokens, random) or 0.0,
        random_tokens=round(random - tokens, 2),
        sorted=share(in_order - tokens, in_order) or 0.0,
        sorted_tokens=in_order - tokens,
    )


def _packing(lengths: Distribution, pack_length: int) -> Packing:
    rows_over, tokens_over = lengths.above(pack_length)
    fitting = [
        (int(length), int(rows))
        for length, rows in zip(lengths.values, lengths.rows, strict=True)
        if 0 < length <= pack_length
    ]
    used = bins_needed(fitting, pack_length)
    return Packing(pack_length, used, share(lengths.total - tokens_over, used * pack_length), rows_over)


def _turns(turns: Turns) -> TurnFigures | None:
    spread = _spread(Distribution.of(turns.per_conversation))
    roles = dict(sorted(turns.roles.items(), key=lambda item: (-item[1], item[0])))
    return TurnFigures(turns.per_conversation.total(), spread, roles) if spread is not None else None


def _first_trained(measured: Measured, ids: list[int]) -> list[FirstToken]:
    counted = measured.rows.first
    rows = counted.total()
    return [
        FirstToken(id_, _text_of(id_, measured), counted[id_], share(counted[id_], rows) or 0.0)
        for id_ in ids
    ]


def _shown_firsts(measured: Sequence[Measured]) -> list[list[int]]:
    """For each source the first trained tokens to show: the same tokens, the most frequent of any."""
    every = [_most_frequent(one.rows.first) for one in measured]
    if len({one.layout.tokenizer_sha256 for one in measured}) == 1:
        wanted = {id_ for ids in every for id_ in ids[:_FIRST_TOKENS]}
        return [[id_ for id_ in ids if id_ in wanted] for ids in every]
    # An id is another token in another vocabulary; the text is what they share.
    pairs = list(zip(measured, every, strict=True))
    texts = {_text_of(id_, one) for one, ids in pairs for id_ in ids[:_FIRST_TOKENS]}
    return [[id_ for id_ in ids if _text_of(id_, one) in texts] for one, ids in pairs]


def _most_frequent(counted: Counter[int]) -> list[int]:
    return sorted(counted, key=lambda id_: (-counted[id_], id_))


def _text_of(id_: int, measured: Measured) -> str:
    """A token's text; bytes that are no text, as of a part of a character, are written out."""
    if not 0 <= id_ < measured.tokenizer.size:
        return ""
    return token_texts([measured.tokenizer.token_bytes(id_)])[0][0]
