"""Which keys of a record are read: of these, a second one of the same name is an error."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sftcli.parse.failure import Names, Place

# The keys with which a turn may say for itself whether it is trained.
FLAGS = ("train", "training", "trainable", "loss", "loss_mask", "weight")

_FIELDS: dict[str, tuple[str, ...]] = {
    "alpaca": ("instruction", "input", "output", "system", "history"),
    "prompt_completion": ("prompt", "completion", "response", "system", "tools"),
    "messages": ("messages", "system", "tools"),
    "sharegpt": ("conversations", "system", "tools"),
    "segments": ("segments",),
    "text": ("text",),
    "fields": (),
}
# Keys of turns, of their parts, and of segments.
_INSIDE = ("role", "content", "from", "value", "tool_calls", "tool_call_id", "name", "reasoning_content")
_PARTS = ("type", "text", "label")
# What stands in these goes to the template whole, whatever its keys are.
_WHOLE = ("tools", "tool_calls")


@dataclass(frozen=True, slots=True)
class Reads:
    """The keys that a format reads, in the data's own names.

    `fields` are those of the record itself, `inside` those of the objects in these fields; all that
    stands inside a field or key of `whole` is read.
    """

    fields: frozenset[str]
    inside: frozenset[str]
    whole: frozenset[str]

    def __contains__(self, place: Place) -> bool:
        *above, key = place
        if not above:
            return key in self.fields
        return above[0] in self.fields and (key in self.inside or not self.whole.isdisjoint(above))


def keys_read(record_format: str, names: Names, more: Iterable[str] = (), kept: Iterable[str] = ()) -> Reads:
    """What a format reads; `names` maps canonical names to the data's own.

    `more` are the fields that a prompt template names, `kept` those that go along with a row, by the
    data's own names.
    """
    reads = _reads((*_FIELDS[record_format], *more), names)
    return replace(reads, fields=reads.fields.union(kept))


def _reads(fields: Iterable[str], names: Names) -> Reads:
    def own(some: Iterable[str]) -> frozenset[str]:
        return frozenset(names.get(name, name) for name in some)

    return Reads(own(fields), own((*_INSIDE, *_PARTS, *FLAGS)), own(_WHOLE))


# Where the format is not known: what any of them reads.
ANY_FORMAT = _reads({name for fields in _FIELDS.values() for name in fields}, {})
# Where it is not settled yet what will be read.
NOTHING_READ = _reads((), {})
