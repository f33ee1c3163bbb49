"""The turns of a long conversation, proven by their kind.

To prove a turn takes renders of all that stands before it, so that to prove every turn takes the square
of their number: seconds for a thousand of them, hours for a hundred thousand. Turns of one kind stand
between messages of the same kinds, in the same template text. Of each kind the first two are proven,
the last one, and ever fewer between; where all of these have their bounds in the same places, so have the
others, and where they do not, every one is proven by itself.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence

from sftcli.conversation import Message
from sftcli.jinja.spans import Prover, Span, UnprovenError

LONG = 128  # messages; every turn of a conversation with no more of them is proven by itself
_EDGE = 4  # messages at either end of a conversation, where every turn is proven by itself
_NEAR = 2  # messages on either side of a turn that make its kind

# A place: after how many holes of its turn, and how far from the last one's end (or the first one's start).
_Anchor = tuple[int, int]


def spans_by_kind(
    known: Prover, kinds: Mapping[int, Hashable], prove: Callable[[int], Span]
) -> dict[int, Span]:
    """The span of each assistant message in `kinds`, by its index.

    `prove` finds the span of one, and raises what is wrong with it.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, kind in kinds.items():
        groups.setdefault(kind, []).append(index)
    chosen = sorted(index for group in groups.values() for index in _sample(group))
    spans = {index: prove(index) for index in chosen}
    for group in groups.values():
        anchors = {_anchors(known, index, spans[index]) for index in group if index in spans}
        for index in group:
            if index not in spans:
                span = _placed(known, index, *anchors) if len(anchors) == 1 else None
                spans[index] = span or prove(index)
    return dict(sorted(spans.items()))


def kind_of(known: Prover, messages: Sequence[Message], index: int, given: int) -> Hashable:
    """What turns have in common that are proven alike; the index itself where nothing is known to be.

    `given`: with which end of a generation prompt its data begins.
    """
    layout, turn = known.layout, known.first + index
    if index < _EDGE or index >= len(messages) - _EDGE or turn not in layout.numbers:
        return index
    near = [number for other in range(-_NEAR, _NEAR + 1) for number in layout.numbers.get(turn + other, ())]
    first, last = min(near), max(near)
    if last - first + 1 != len(near):  # the text of a message that is further away stands here
        return index
    laid = tuple(
        (layout.text[hole.stop : layout.after(hole.stop)], hole.turn - turn, hole.field)
        for hole in layout.holes[first : last + 1]
    )
    said = tuple(_said(message) for message in messages[index - _NEAR : index + _NEAR + 1])
    return laid, said, given


def _said(message: Message) -> Hashable:
    content, reasoning = message.content, message.reasoning_content
    return (
        message.role,
        not content or content.isspace(),
        not reasoning or reasoning.isspace(),
        len(message.tool_calls or ()),
    )


def _sample(group: Sequence[int]) -> set[int]:
    """The first and the last turn, and those at powers of two."""
    powers = (1 << power for power in range(len(group).bit_length()))
    return {group[0], group[-1], *(group[place] for place in powers if place < len(group))}


def _anchors(known: Prover, index: int, span: Span) -> tuple[_Anchor, ...]:
    """The places of a turn's span, told from its own data."""
    places = [place for pair in (*span.ranges, span.end, *span.injected) for place in pair]
    own = known.layout.of(span.turn)
    if not own:
        return ()
    found = []
    for place in places:
        ended = sum(hole.stop <= place for hole in own)
        found.append((ended, place - (own[ended - 1].stop if ended else own[0].start)))
    return tuple(found)


def _placed(known: Prover, index: int, anchors: Sequence[_Anchor]) -> Span | None:
    """The span of a turn with these places, or None where it cannot be that."""
    turn = known.first + index
    own = known.layout.of(turn)
    places = [(own[ended - 1].stop if ended else own[0].start) + far for ended, far in anchors]
    (start, stop), end, *injected = zip(places[::2], places[1::2], strict=True)
    try:
        known.check_data(index, start, stop)
    except UnprovenError:
        return None
    return Span(turn, ((start, stop),), end, tuple(injected))
