"""Conversation -> what it says, as text: by which near duplicates are found."""

import msgspec

from sftcli.conversation import Conversation, Message
from sftcli.rendered import Parts
from sftcli.templates import PromptTemplate

# What a prompt template may ask for of records whose messages say the same already.
IN_MESSAGES = ("system", "history", "instruction", "input", "prompt", "output", "completion", "response")
_encode = msgspec.json.Encoder(order="sorted").encode


def fields_of(layout: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields that a template's prompt asks for, and its completion; none where it asks for none."""
    if not isinstance(layout, PromptTemplate):
        return (), ()
    prompt = [name for when, parts in layout.variants for name in (*when, *_names(parts))]
    return tuple(dict.fromkeys(prompt)), tuple(dict.fromkeys(_names(layout.completion)))


def _names(parts: tuple[tuple[str, bool], ...]) -> list[str]:
    return [text for text, is_field in parts if is_field]


class Said:
    """What the records of one source say; `layout` is the template that lays them out."""

    def __init__(self, layout: object) -> None:
        prompt, answer = fields_of(layout)
        self._fields = [(name, False) for name in prompt if name != "system"]
        self._fields += [(name, True) for name in answer]
        self._more = [(name, answers) for name, answers in self._fields if name not in IN_MESSAGES]

    def __call__(self, conversation: Conversation) -> Parts:
        """The texts of a record, and which are answers: what is trained, if its flags say what that is.

        Without system texts and definitions of tools: many records share them, whatever else they say.
        """
        fields = conversation.fields
        if conversation.segments is not None:
            return [(segment.text, segment.trained) for segment in conversation.segments]
        if not conversation.messages:
            return [(_plain(fields.get(name)), answers) for name, answers in self._fields]
        said = [(_text(turn), _answers(turn)) for turn in conversation.messages if turn.role != "system"]
        if fields and self._more:
            said += [(_plain(fields.get(name)), answers) for name, answers in self._more]
        return said


def _answers(turn: Message) -> bool:
    return turn.role == "assistant" if turn.trained is None else turn.trained


def _text(turn: Message) -> str:
    if not turn.tool_calls and not turn.reasoning_content:
        return turn.content
    calls = [_encode(call).decode() for call in turn.tool_calls or ()]
    return "\n".join([turn.reasoning_content or "", turn.content, *calls])


def _plain(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else _encode(value).decode()
