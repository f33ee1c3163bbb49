"""Two sources side by side: which figures are compared, and by how much they differ."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from typing import Any, Literal

from sftcli.stats.figures import Figures
from sftcli.stats.histogram import paired, styled
from sftcli.stats.text import aligned, heading, layout_text, percent, shown_limits, token_text
from sftcli.view.cells import one_line
from sftcli.view.fold import folded
from sftcli.view.page import Screen

Kind = Literal["count", "mean", "share"]
NAMES = ("A", "B")
_FIRST_TOKENS = 10
_LIMITS = "Rows over a limit"
_REASONS = ("dropped", "rejected")
_SPREAD = {
    "min": "min", "mean": "mean", "p50": "50%", "p90": "90%", "p95": "95%", "p99": "99%", "max": "max",
}  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """One figure of two sources, None where a source does not have it. A share is a fraction of 1.

    `key` leads to it in the JSON of a source, such as `lengths.p50`; a limit and a size of batches
    stand there by their number: `limits.512.share`.
    """

    section: str
    label: str
    key: str
    kind: Kind
    left: float | None
    right: float | None

    @property
    def difference(self) -> float | None:
        """Right less left, None where one of them is."""
        if self.left is None or self.right is None:
            return None
        return round(self.right - self.left, 6)


def compare(left: Figures, right: Figures) -> list[Compared]:
    """The figures of which a difference says something, section by section."""
    sources = [_by_key(one, left, right) for one in (left, right)]
    found = []
    for section, label, key, kind in _compared(left, right):
        one, other = (_at(source, key) for source in sources)
        if one is not None or other is not None:
            found.append(Compared(section, label, key, kind, one, other))
    return found


def show_comparison(left: Figures, right: Figures, screen: Screen) -> str:
    """The page of two sources: their figures in columns, their lengths in pairs of bars."""
    rows = [["", *NAMES, "B less A"]]
    over = max(len(shown_limits(one.limits)) for one in (left, right))
    for section, group in groupby(compare(left, right), key=lambda one: one.section):
        rows.append([section, "", "", ""])
        rows += [_row(one, screen) for one in islice(group, over if section == _LIMITS else None)]
    lines: list[str] = []
    columns = aligned(rows, left=1)
    for row, line in zip(rows[1:], columns[1:], strict=True):
        is_heading = row[1:] == [""] * 3
        lines += ["", heading(row[0], "", screen)] if row[0] and is_heading else []
        lines += [] if is_heading else [line]
    lines = [*_head(left, right, screen), "", columns[0], *lines]
    if left.length_histogram and right.length_histogram:
        bars = paired(left.length_histogram, right.length_histogram, NAMES, screen)
        lines += [
            "",
            heading("Lengths", "tokens, and the share of the rows that have so many", screen),
            *bars,
        ]
    firsts = _first_trained(left, right, screen)
    lines += [
        "",
        heading("First trained tokens", "what the trained text of a row begins with", screen),
        *firsts,
    ]
    return "\n".join(line.rstrip() for line in lines)


def _head(left: Figures, right: Figures, screen: Screen) -> list[str]:
    """What the two are and how their rows are made."""
    lines = []
    for name, one in zip(NAMES, (left, right), strict=True):
        lines.append(styled(f"{name}  {one_line(one.source, screen.ascii_only)}", "1", screen))
        made = folded(layout_text(one.layout, screen), screen.width - 3)
        lines += [f"   {styled(line, '2', screen)}" for line in made]
    if not _same_tokenizer(left, right):
        note = "The tokenizers differ: a token of A is not one of B, and lengths are in tokens of each."
        lines += folded(note, screen.width)
    return lines


def _same_tokenizer(left: Figures, right: Figures) -> bool:
    return left.layout.tokenizer_sha256 == right.layout.tokenizer_sha256


def _row(one: Compared, screen: Screen) -> list[str]:
    label = "  " + one_line(one.label, screen.ascii_only)
    values = [_shown(value, one.kind) for value in (one.left, one.right)]
    if one.difference is None:
        return [label, *values, "-"]
    if not one.difference:
        return [label, *values, "0"]
    if one.kind == "share":
        return [label, *values, f"{100 * one.difference:+.1f} points"]
    return [label, *values, f"{one.difference:+,.{one.kind == 'mean':d}f}"]


def _shown(value: float | None, kind: Kind) -> str:
    if value is None:
        return "-"
    if kind == "share":
        return percent(value)
    return f"{value:,.1f}" if kind == "mean" else f"{value:,.0f}"


def _first_trained(left: Figures, right: Figures, screen: Screen) -> list[str]:
    """The most frequent tokens of both; those of different tokenizers are the same by their text."""
    by_id = _same_tokenizer(left, right)
    shares: dict[tuple[int, str], list[float]] = {}
    for place, one in enumerate((left, right)):
        for token in one.first_trained:
            pair = shares.setdefault((token.id if by_id else 0, token.text), [0.0, 0.0])
            pair[place] += token.share
    most = sorted(shares.items(), key=lambda item: (-max(item[1]), item[0]))[:_FIRST_TOKENS]
    rows = [["id", "token", *NAMES]]
    rows += [[str(id_), token_text(text, screen), *map(percent, pair)] for (id_, text), pair in most]
    return aligned(rows, left=2) if by_id else aligned([row[1:] for row in rows], left=1)


def _compared(left: Figures, right: Figures) -> Iterator[tuple[str, str, str, Kind]]:
    """(section, label, key, kind) of each figure."""
    yield from (("Rows", name, name, "count") for name in ("records", "rows", "tokens"))
    yield "Rows", "trained tokens", "trained_tokens", "count"
    yield "Rows", "trained share", "trained_share", "share"
    for name in _REASONS:
        for reason in sorted(getattr(left, name) | getattr(right, name)):
            yield "Rows", f"{name}: {reason}", f"{name}.{reason}.rows", "count"
    yield "Rows", "with control text", "control_text_rows", "count"
    yield "Rows", "with empty thinking", "empty_thinking_rows", "count"
    yield "Rows", "tokens across a boundary, masked", "straddling_tokens.masked", "count"
    yield "Rows", "tokens across a boundary, trained", "straddling_tokens.trained", "count"
    for note in sorted(left.notes | right.notes):
        yield "Rows", f"note: {note}", f"notes.{note}", "count"
    spreads = (
        ("Tokens per row", "lengths"),
        ("Trained tokens per row", "trained_lengths"),
        ("Trained, in % of a row", "trained_percent"),
        ("Turns per conversation", "turns.spread"),
    )
    for section, key in spreads:
        for name, label in _SPREAD.items():
            yield section, label, f"{key}.{name}", "mean" if name == "mean" else "count"
    for limit in (one.limit for one in left.limits):  # both have the same ones
        yield _LIMITS, f"{limit:,} tokens", f"limits.{limit}.share", "share"
    for batch in (one.batch for one in left.padding or right.padding):  # there are none without rows
        for order, label in (("random", "in random order"), ("sorted", "sorted by length")):
            yield "Padding (waste)", f"batches of {batch}, {label}", f"padding.{batch}.{order}", "share"
    lengths = [one.packing.length for one in (left, right) if one.packing is not None]
    packing = f"Packing in sequences of {lengths[0]:,} tokens" if lengths else "Packing"
    yield packing, "sequences", "packing.bins", "count"
    yield packing, "fill", "packing.fill", "share"


def _by_key(found: Figures, left: Figures, right: Figures) -> dict[str, Any]:
    """The figures of one of both, so that a key leads to each: what only the other counted is 0."""
    source = asdict(found)
    counted = {name: set(getattr(left, name)) | set(getattr(right, name)) for name in _REASONS}
    reasons = {
        name: {reason: source[name].get(reason, {"rows": 0}) for reason in counted[name]} for name in _REASONS
    }
    return {
        **source,
        **reasons,
        "notes": {note: found.notes.get(note, 0) for note in left.notes | right.notes},
        "limits": {str(one["limit"]): one for one in source["limits"]},
        "padding": {str(one["batch"]): one for one in source["padding"]},
    }


def _at(source: Any, key: str) -> float | None:
    for name in key.split("."):
        if not isinstance(source, dict):
            return None
        source = source.get(name)
    return source if isinstance(source, int | float) else None
