"""Spans and a mask policy -> the pieces of a row.

A plan is made once for all rows that a template lays out alike; filling it in is all that a row costs.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from sftcli.jinja.layout import Layout
from sftcli.jinja.proof import Row
from sftcli.jinja.spans import Span
from sftcli.mask import MaskPolicy
from sftcli.rendered import Outline, Piece, Rendered

Part: TypeAlias = tuple[int, int, int]  # of a hole: its number, from where, to where (0: to its end)


@dataclass(frozen=True)
class Plan:
    """The outline of a row, and the part of a hole that each of its content pieces is.

    `notes` are the row's.
    """

    outline: Outline
    parts: tuple[Part, ...]
    notes: tuple[str, ...]

    def fill(self, layout: Layout) -> Rendered:
        text, holes = layout.text, layout.holes
        data = []
        for number, first, last in self.parts:
            start, stop, _, _ = holes[number]
            data.append(text[start + first : start + last if last else stop])
        return Rendered(self.outline, data, self.notes)


class _Mask:
    """Which text is trained, by place and by whose it is. Later ones of the `ranges` win."""

    def __init__(
        self, everything: bool, ranges: Sequence[tuple[int, int, bool]], masked_roles: frozenset[str]
    ) -> None:
        self._masked_roles = masked_roles
        self._places = sorted({0, *(place for start, stop, _ in ranges for place in (start, stop))})
        self._flags = [everything] * len(self._places)  # from each place to the next
        for start, stop, flag in ranges:
            first, last = bisect_left(self._places, start), bisect_left(self._places, stop)
            self._flags[first:last] = [flag] * (last - first)

    def at(self, place: int, role: str) -> bool:
        return role not in self._masked_roles and self._flags[bisect_right(self._places, place) - 1]

    def edges(self, low: int, high: int) -> list[int]:
        """`low`, `high`, and the places between them where the mask may change."""
        between = self._places[bisect_right(self._places, low) : bisect_left(self._places, high)]
        return sorted({low, high, *between})


class _Owners:
    """Whose the template's text is."""

    def __init__(
        self, layout: Layout, spans: Mapping[int, Span], ends: Mapping[int, tuple[int, int]]
    ) -> None:
        self._layout, self._ends = layout, ends
        in_order = sorted(spans.values(), key=lambda span: span.ranges)
        self._ranges = [(*place, span.turn) for span in in_order for place in span.ranges]
        self._starts = [start for start, _, _ in self._ranges]
        self._stops = [stop for _, stop, _ in self._ranges]
        self._apart = self._starts == sorted(self._starts) and self._stops == sorted(self._stops)

    def between(self, low: int, high: int) -> list[tuple[int, int]]:
        """(place, turn) in order: whose the template text is from that place on, between two holes."""
        layout, ends = self._layout, self._ends
        number, following = layout.ended_by(low), layout.begun_before(high)
        before = layout.holes[number - 1].turn if number else None
        owners = [(low, layout.holes[following].turn if following < len(layout.holes) else -1)]
        if before is not None and before in ends and low <= ends[before][0] <= high:
            owners = [(low, before), (self._text_from(ends[before][1], high), owners[0][1])]
        for start, stop, turn in self._near(low, high):
            if start <= high and low <= stop:
                owners += [(max(start, low), turn), (self._text_from(stop, high), owners[-1][1])]
        return sorted(owners, key=lambda owner: owner[0])

    def _near(self, low: int, high: int) -> list[tuple[int, int, int]]:
        """The turns' ranges that may touch the text, in order."""
        if not self._apart:
            return self._ranges
        return self._ranges[bisect_left(self._stops, low) : bisect_right(self._starts, high)]

    def _text_from(self, place: int, high: int) -> int:
        """Where the first text from `place` on stands that is no white space."""
        text = self._layout.text[place:high]
        return place + len(text) - len(text.lstrip())


def make_plan(
    row: Row, spans: Mapping[int, Span], policy: MaskPolicy, train_injected: bool, notes: Sequence[str]
) -> Plan:
    """What each character's piece is, for all rows laid out like this one."""
    layout = row.layout
    roles = row.roles
    ends = _ends(layout, spans)
    mask, owners = _mask(row, spans, ends, policy, train_injected), _Owners(layout, spans, ends)
    pieces: list[Piece] = []
    parts: list[Part] = []
    at = 0
    for number, hole in enumerate(layout.holes):
        pieces += _template_pieces(layout, at, hole.start, mask, owners.between(at, hole.start), roles)
        # One piece, or two where a generation prompt supplies the data's beginning.
        for start, stop in pairwise(mask.edges(hole.start, hole.stop)):
            role = roles.get(hole.turn, "")
            pieces.append(Piece("", True, mask.at(start, role), hole.turn, role))
            parts.append((number, start - hole.start, stop - hole.start if stop < hole.stop else 0))
        at = hole.stop
    stop = len(layout.text)
    pieces += _template_pieces(layout, at, stop, mask, owners.between(at, stop), roles)
    return Plan(Outline(pieces), tuple(parts), tuple(notes))


def _mask(
    row: Row,
    spans: Mapping[int, Span],
    ends: Mapping[int, tuple[int, int]],
    policy: MaskPolicy,
    train_injected: bool,
) -> _Mask:
    flags = {row.first + index: flag for index, flag in enumerate(policy.turns(row.messages))}
    roles = row.roles
    last = max((turn for turn, flag in flags.items() if flag), default=None)
    everything = policy.everything
    # An assistant's data is trained where it stands in its turn; a repetition elsewhere is not its answer.
    ranges = [
        (hole.start, hole.stop, everything if hole.field == "tools" else flags.get(hole.turn, everything))
        for hole in row.layout.holes
        if hole.turn not in spans
    ]
    ranges += [(*place, flags[span.turn]) for span in spans.values() for place in span.ranges]
    if not train_injected:
        ranges += [(*place, everything) for span in spans.values() for place in span.injected]
    ranges += [
        (*place, policy.end_trained(roles[turn], flags[turn], turn == last)) for turn, place in ends.items()
    ]
    close = _close(row.layout, spans)
    if close is not None:
        ranges.append((*close, policy.close_trained))
    return _Mask(everything, ranges, policy.masked_roles)


def _ends(layout: Layout, spans: Mapping[int, Span]) -> dict[int, tuple[int, int]]:
    """Each turn's terminator: the assistant's as proven, another's where the same text follows its data."""
    ends = {turn: span.end for turn, span in spans.items()}
    known = {layout.text[slice(*span.end)] for span in spans.values()} - {""}
    # Tools and a system text that is not the record's own have the same turn; tools are no message.
    lasts = {h.turn: h.stop for h in layout.holes if h.turn not in ends and h.field != "tools"}
    for turn, stop in lasts.items():
        gap = layout.text[stop : layout.after(stop)]
        lead = len(gap) - len(gap.lstrip())
        token = next((token for token in sorted(known) if gap.startswith(token, lead)), None)
        if token:
            ends[turn] = (stop + lead, stop + lead + len(token))
    return ends


def _close(layout: Layout, spans: Mapping[int, Span]) -> tuple[int, int] | None:
    """The closing token of the whole conversation: what follows the last turn, if that is the assistant's."""
    last = max((span.end[1] for span in spans.values()), default=None)
    if last is None or layout.after(last) < len(layout.text):
        return None
    rest = layout.text[last:]
    return (last + len(rest) - len(rest.lstrip()), last + len(rest.rstrip())) if rest.strip() else None


def _template_pieces(
    layout: Layout, low: int, high: int, mask: _Mask, owners: list[tuple[int, int]], roles: Mapping[int, str]
) -> list[Piece]:
    """The template text between two holes, cut where the mask or the owner changes."""
    pieces: list[Piece] = []
    cuts = sorted({*mask.edges(low, high), *(place for place, _ in owners if low < place < high)})
    for start, stop in pairwise(cuts):
        turn = [owner for place, owner in owners if place <= start][-1]
        role = roles.get(turn, "")
        pieces.append(Piece(layout.text[start:stop], False, mask.at(start, role), turn, role))
    return _joined(pieces)


def _joined(pieces: list[Piece]) -> list[Piece]:
    out: list[Piece] = []
    for piece in pieces:
        if out and (out[-1].trained, out[-1].turn) == (piece.trained, piece.turn):
            out[-1] = Piece(out[-1].text + piece.text, False, piece.trained, piece.turn, piece.role)
        else:
            out.append(piece)
    return out
