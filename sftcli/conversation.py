"""The nouns between `parse` and `render`: what one record says, free of any layout."""

from typing import Any, Literal

import msgspec

Role = Literal["system", "user", "assistant", "tool"]
TrainOn = Literal["assistant", "last", "all"]
TrainOnEos = Literal["turn", "last", "none", "all"]

# A token's weight is a product of two, and must be neither 0 nor infinite as a 32-bit float.
MIN_WEIGHT, MAX_WEIGHT = 1e-9, 1e9
WEIGHTS = "0, or a number from 1e-9 to 1e9"


class Message(msgspec.Struct, gc=False):
    """One turn.

    `trained` is the record's own flag (`train`, `weight`, ...), None where it has none.
    `tool_calls` and the fields after it are kept for templates that lay them out. `weight` is the
    record's own, of the loss of a trained message; 1 where `trained` is all that it says.
    """

    role: Role
    content: str
    trained: bool | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    reasoning_content: str | None = None
    weight: float = 1.0


class Segment(msgspec.Struct, gc=False):
    """A stretch of a free layout (`segments`, `text`) and whether it is trained."""

    text: str
    trained: bool


class Conversation(msgspec.Struct, gc=False):
    """One record, judged and normalised.

    Exactly one of these says what is rendered: `segments` (the record brings its own layout),
    else `messages` for a chat template, or `fields` for a prompt template. `fields` holds the
    record's own values under the names that prompt templates use (`instruction`, `output`, ...);
    it is empty for records that are conversations by nature.
    """

    messages: list[Message] = []
    fields: dict[str, Any] = {}
    segments: list[Segment] | None = None
    tools: list[dict[str, Any]] | None = None
