"""Where each assistant turn starts and ends in a rendered conversation, proven or refused.

A turn is what the model itself must write: from the end of the generation prompt to the token that
ends the turn. Both are found in template text alone, by rendering the conversation up to the turn:

- the start: with a generation prompt, what stands there after the last message's data is what the
  model is given; the same text, or as much of it as the template repeats, must stand in the whole
  conversation between the data before the turn and the turn's own;
- the end: what follows the turn's data whether the conversation ends there, goes on, or waits for
  the model. The last control token that all of these share is the terminator.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sftcli.jinja.layout import Hole, Layout, Markers

# render(count, prompt): the first `count` messages, with or without a generation prompt; None where
# the template refuses that. continued(count): the same with a user message after them.
Render = Callable[[int, bool], Layout | None]

_EMPTY_THINKING = re.compile(r"<(think|thinking|thought|reasoning)>\s*</\1>\s*")


class UnprovenError(Exception):
    """Why a turn's span is not known for certain."""


@dataclass(frozen=True)
class Span:
    """A turn: `ranges` are what the model writes, `end` is where its terminator stands in them.

    `injected` is text in them that nobody wrote and the template put there.
    """

    turn: int
    ranges: tuple[tuple[int, int], ...]
    end: tuple[int, int]
    injected: tuple[tuple[int, int], ...] = ()


class Prover:
    """Finds the spans of one conversation. `first` is the turn of its first message."""

    def __init__(
        self,
        layout: Layout,
        first: int,
        render: Render,
        continued: Callable[[int], Layout | None],
        markers: Markers,
        usual_prompt: str,
        usual_end: str | None,
    ) -> None:
        self.layout, self.first, self.markers = layout, first, markers
        self.render, self.continued = render, continued
        self.usual_prompt, self.usual_end = usual_prompt, usual_end

    def span(self, index: int) -> Span:
        """The span of the assistant message at `index`. Raises UnprovenError."""
        start = self._start(self.layout, index)
        end = self._end(index, start)
        self.check_data(index, start, end[1])
        self._check_definition(index, start, end)
        return Span(self.first + index, ((start, end[1]),), end, self._injected(start, end[1]))

    def check_data(self, index: int, start: int, stop: int) -> None:
        """Raise UnprovenError unless the turn's data and no other stands between `start` and `stop`."""
        turn, layout = self.first + index, self.layout
        inside = range(layout.ended_by(start), layout.begun_before(stop))
        for number in sorted({*layout.numbers.get(turn, ()), *inside}):
            hole = layout.holes[number]
            if number not in inside and hole.field in ("content", "reasoning_content"):
                raise UnprovenError("part of its text stands outside of the turn")
            if number in inside and hole.turn != turn:
                owner = f"message {hole.turn}" if hole.turn >= 0 else "the tools or the system text"
                raise UnprovenError(f"the text of {owner} stands inside this turn")

    def _check_definition(self, index: int, start: int, end: tuple[int, int]) -> None:
        """Where the whole begins with what the model was given, the definition itself says the place."""
        given = self.render(index, True)
        if given and self.layout.text.startswith(given.text) and start != len(given.text):
            raise UnprovenError("its start is not where the generation prompt ends")
        alone = self.render(index + 1, False)
        ending = alone.text.rstrip() if alone else ""
        if (
            alone is not self.layout
            and ending
            and self.layout.text.startswith(ending)
            and end[1] != len(ending)
        ):
            raise UnprovenError("its end is not where the conversation would end after it")

    def prompt(self, index: int) -> str:
        """What a generation prompt adds after the messages before `index`; "" where it cannot be given."""
        given = self.render(index, True)
        return self._given(index, given)[1] if given else ""

    # The start.

    def _start(self, layout: Layout, index: int) -> int:
        turn = self.first + index
        own = layout.of(turn) or layout.places_of.get(turn, [])
        given = self.render(index, True)
        tail, prompt = self._given(index, given) if given else ("", self.usual_prompt)
        owner = _owner_at(given, len(given.text)) if given else None
        for hole in own:
            # The data itself may begin with what the prompt ends in (`<think>`): that is given too.
            low = layout.before(hole.start)
            if given and layout.text[low : hole.stop].startswith(tail) and owner == _owner_at(layout, low):
                return low + len(tail)
        if own:
            high = own[0].start
            low = layout.before(high)
        else:
            low = max((hole.stop for hole in layout.holes if hole.turn < turn), default=0)
            high = layout.after(low)
        gap = layout.text[low:high]
        if given and owner == _owner_at(layout, low):
            before = tail.removesuffix(prompt)
            for part in self._parts(prompt):
                if gap.startswith(before + part):
                    return low + len(before) + len(part)
        return low + self._standing(gap, prompt or self.usual_prompt, bool(own))

    def _given(self, index: int, given: Layout) -> tuple[str, str]:
        """The template text at the end of `given`, and what of it the generation prompt adds."""
        tail = given.text[given.before(len(given.text)) :]
        without = self.render(index, False)
        if without is None:
            return tail, self.usual_prompt if tail.endswith(self.usual_prompt) else tail
        other = without.text[without.before(len(without.text)) :]
        return tail, tail[len(self.markers.common([tail, other])) :]

    def _parts(self, prompt: str) -> Iterator[str]:
        """A generation prompt, whole and then cut at its joints: before a marker or after white space.

        A template may lay a turn out with less than the prompt, such as without its `<think>`.
        """
        yield prompt
        pieces = self.markers.cut(prompt)
        for count in range(len(pieces) - 1, 0, -1):
            part = "".join(pieces[:count])
            if len(pieces[count]) > 1 or part.endswith(("\n", " ")):
                yield part

    def _standing(self, gap: str, prompt: str, placed: bool) -> int:
        """Where the generation prompt ends in a gap, where it cannot be told from what stands before."""
        if not prompt:
            raise UnprovenError("the template has no generation prompt here that would tell where it starts")
        for part in self._parts(prompt):
            if gap.count(part) == 1 and (placed or part == prompt):
                return gap.index(part) + len(part)
        raise UnprovenError(f"the generation prompt {prompt!r} does not stand once before it")

    # The end.

    def _last(self, layout: Layout, index: int, start: int, empty: bool) -> int:
        """Where the turn's own data ends; with `empty`, where its last empty data stands if that is later.

        A later message may repeat a turn's data (a tool's name in the header of its result); what the
        turn itself holds is what stands there when the conversation ends with it.
        """
        turn = self.first + index
        own = [hole for hole in layout.of(turn) if hole.stop > start]
        alone = self.render(index + 1, False)
        last = start
        if own and alone is None:
            last = own[-1].stop
        elif own and alone is not None:
            expected = [(hole.field, alone.text[hole.start : hole.stop].strip()) for hole in alone.of(turn)]
            matched = _matched(expected, layout, own)
            if matched is None:
                raise UnprovenError("its data is not where it is when the conversation ends with it")
            last = matched
        if own and not empty:
            return last
        stop = layout.after(last)
        places = (place.start for place in layout.places_of.get(turn, ()) if last <= place.start <= stop)
        return max(places, default=last)

    def _end(self, index: int, start: int) -> tuple[int, int]:
        """Where the terminator stands, from what follows the turn's data however things go on."""
        try:
            return self._ended(index, start, empty=False)
        except UnprovenError:
            return self._ended(index, start, empty=True)

    def _ended(self, index: int, start: int, empty: bool) -> tuple[int, int]:
        layout, markers = self.layout, self.markers
        last = self._last(layout, index, start, empty)
        tail = layout.text[last : layout.after(last)]
        others = [self._tail(other, index, empty) for other in self._endings(index)]
        if not others and self.usual_end and tail.startswith(self.usual_end):
            others = [self.usual_end]
        shared = markers.common([tail, *others]) if others else ""
        found = markers.last_control(shared)
        if found is None:
            found = self._plain(shared, others) if shared.strip() else self._by_place(tail, others)
        if found is None:
            raise UnprovenError(f"nothing ends it: after its text stands {tail[:60]!r}")
        opener = markers.first_control(self.usual_prompt)
        if opener and self.usual_prompt[slice(*opener)] in markers.cut(tail[: found[1]]):
            raise UnprovenError(f"it runs into the next turn: after its text stands {tail[:60]!r}")
        ended = tail[: found[1]]
        usual = not self.usual_end or tail[slice(*found)] == self.usual_end
        if not usual and any(other.startswith(ended) and other[len(ended) :].strip() for other in others[:1]):
            raise UnprovenError(f"more follows what seems to end it: {tail[:60]!r}")
        return last + found[0], last + found[1]

    def _endings(self, index: int) -> list[Layout]:
        alone, given = self.render(index + 1, False), self.render(index + 1, True)
        if alone is None and given is None:
            return []
        return [layout for layout in (alone, given, self.continued(index + 1)) if layout is not None]

    def _tail(self, layout: Layout, index: int, empty: bool) -> str:
        start = 0 if layout.of(self.first + index) else self._start(layout, index)
        last = self._last(layout, index, start, empty)
        return layout.text[last : layout.after(last)]

    def _by_place(self, tail: str, others: Sequence[str]) -> tuple[int, int] | None:
        """The first control token, for templates whose terminator depends on what follows (GPT-OSS)."""
        found = self.markers.first_control(tail)
        firsts = [other[slice(*place)] for other in others if (place := self.markers.first_control(other))]
        return found if found and tail[slice(*found)] in firsts else None

    def _plain(self, shared: str, others: Sequence[str]) -> tuple[int, int] | None:
        """A terminator that is no control token: the plain text that ends plain answers and conversations."""
        kept = shared.rstrip()
        end = kept.lstrip() if self.usual_end is None else self.usual_end
        if not end or not kept.endswith(end) or others[0][len(kept) :].strip():
            return None
        return len(kept) - len(end), len(kept)

    def _injected(self, start: int, stop: int) -> tuple[tuple[int, int], ...]:
        """Empty thinking blocks in a turn that are template text from end to end."""
        layout = self.layout
        found: list[tuple[int, int]] = []
        low = layout.before(start)
        while low < stop:
            high = min(layout.after(low), stop)
            for match in _EMPTY_THINKING.finditer(layout.text, low, high):
                if match.end() > start:
                    found.append((max(start, match.start()), match.end()))
            number = layout.begun_before(high)
            low = layout.holes[number].stop if number < len(layout.holes) else stop
        return tuple(found)


def _owner_at(layout: Layout, place: int) -> tuple[int, str] | None:
    """Whose data ends at a place, or before it."""
    number = layout.ended_by(place)
    return (layout.holes[number - 1].turn, layout.holes[number - 1].field) if number else None


def _matched(expected: list[tuple[str, str]], layout: Layout, own: list[Hole]) -> int | None:
    """Where the last of the turn's holes ends that come in the expected order; some may be left out."""
    last: int | None = None
    at = 0
    for hole in own:
        found = (hole.field, layout.text[hole.start : hole.stop].strip())
        place = next((i for i in range(at, len(expected)) if _same(expected[i], found)), None)
        if place is None:
            break
        at, last = place + 1, hole.stop
    return last


def _same(expected: tuple[str, str], found: tuple[str, str]) -> bool:
    return expected[0] == found[0] and (expected[1] in found[1] or found[1] in expected[1])


def marked_spans(layout: Layout, assistants: Sequence[int], markers: Markers) -> dict[int, Span]:
    """The spans that the template's `{% generation %}` blocks mark, by turn."""
    spans: dict[int, Span] = {}
    for (start, stop, _), turn in zip(layout.marks, _block_turns(layout, assistants), strict=True):
        known = spans.get(turn)
        last = max((hole.stop for hole in layout.of(turn) if hole.stop <= stop), default=start)
        found = markers.last_control(layout.text[max(last, start) : stop])
        end = (max(last, start) + found[0], max(last, start) + found[1]) if found else (stop, stop)
        spans[turn] = Span(turn, (*(known.ranges if known else ()), (start, stop)), end)
    return spans


def _block_turns(layout: Layout, assistants: Sequence[int]) -> list[int]:
    """Whose each generation block is: its data's, else the next turn's without one, else the last block's."""
    data = sorted((*layout.holes, *layout.places))
    owners: list[int | None] = []
    for start, stop, _ in layout.marks:
        inside = (hole.turn for hole in data if start <= hole.start and hole.stop <= stop)
        owners.append(next((turn for turn in inside if turn in assistants), None))
    free = [turn for turn in assistants if turn not in owners]
    turns: list[int] = []
    for number, owner in enumerate(owners):
        before = turns[-1] if turns else assistants[0] - 1
        after = next((other for other in owners[number:] if other is not None), assistants[-1] + 1)
        between = next((turn for turn in free if before < turn < after), None)
        turns.append(owner if owner is not None else before if between is None else between)
    if turns and turns[0] < assistants[0]:
        raise UnprovenError("it has a generation block that belongs to no assistant turn")
    return turns
