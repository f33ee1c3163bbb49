"""Conversation -> its fingerprints: by which records are told apart, and equal prompts found.

They hang on what a record says and on nothing else: not on its place, its template, the run or the
machine. Of 10^9 records two that differ have the same 16 bytes once in 10^21 times.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from sftcli.arrange.facts import NO_PRINTS
from sftcli.arrange.said import IN_MESSAGES, Said, fields_of
from sftcli.conversation import Conversation, Message
from sftcli.rendered import Rendered

_SIZE = 16
_encode = msgspec.json.Encoder(order="sorted").encode
_NO_FLAGS = (None, 1.0, None, None)
# What fields of these names are in a conversation: of a prompt the first ones, beside `system`.
_QUESTIONS = (
    ("instruction",),
    ("instruction", "input"),
    ("prompt",),
    ("question",),
    ("query",),
    ("problem",),
)
_ANSWERS = ("output", "completion", "response", "answer", "solution")

Turn = tuple[Any, ...]


class Fingerprint:
    """The fingerprints of one source's records; `layout` is the template that lays them out."""

    def __init__(self, layout: object) -> None:
        prompt, answer = fields_of(layout)
        self._prompt = tuple(sorted(prompt))
        self._all = tuple(sorted({*prompt, *answer}))
        self._more = tuple(name for name in self._prompt if name not in IN_MESSAGES)
        self._more_of_all = tuple(name for name in self._all if name not in IN_MESSAGES)
        asked = {*prompt} - {"system"}
        self._question = next((names for names in _QUESTIONS if asked == {*names}), ())
        self._answer = answer[0] if len(answer) == 1 and answer[0] in _ANSWERS else ""

    def __call__(self, conversation: Conversation) -> bytes:
        """32 bytes: those of its prompt, and those of all that it says.

        The prompt is all before the last answer, or the fields that the template's prompt asks for. A
        record that has none is its own prompt.
        """
        prompt, rest = self._parts(conversation)
        asked = _encode(prompt)
        whole = _hash(asked + _encode(rest))
        return (_hash(asked) if prompt[1] else whole) + whole

    def _parts(self, conversation: Conversation) -> tuple[tuple[str, list[Any], Any], list[Any]]:
        """The prompt, whose second part is empty where there is none, and what follows it."""
        fields = conversation.fields
        if conversation.segments is not None:
            pairs = [(segment.text, segment.trained) for segment in conversation.segments]
            # Other answers between the same texts are answers to the same prompt.
            return ("segments", [text for text, trained in pairs if not trained], None), pairs
        turns = list(map(_turn, conversation.messages))
        if not turns:
            return self._parts_of_fields(fields)
        last = max((at for at, turn in enumerate(turns) if turn[0] == "assistant"), default=0)
        more = [fields.get(name) for name in self._more] if fields else []
        rest: list[Any] = turns[last:]
        # What makes another row of it, though it is asked the same and answered the same.
        rest += [[fields.get(name) for name in self._more_of_all]] if fields and self._more_of_all else []
        flags = [(turn.trained, turn.weight, turn.name, turn.tool_call_id) for turn in conversation.messages]
        rest += [flags] if any(flag != _NO_FLAGS for flag in flags) else []
        return ("messages", turns[:last], (conversation.tools, more)), rest

    def _parts_of_fields(self, fields: Mapping[str, Any]) -> tuple[tuple[str, list[Any], Any], list[Any]]:
        """The same of a record that has fields alone: as a conversation, where it is one by their names."""
        turns = self._turns_before(fields)
        if not turns:
            asked = [fields.get(name) for name in self._prompt]
            return ("fields", asked, self._prompt), [fields.get(name) for name in self._all]
        answer = fields.get(self._answer)
        rest = (
            [("assistant", answer)] if isinstance(answer, str) else [fields.get(name) for name in self._all]
        )
        return ("messages", turns, (None, [])), rest

    def _turns_before(self, fields: Mapping[str, Any]) -> list[Turn]:
        """What comes before the answer; nothing where the names or the values are no conversation's."""
        system = fields.get("system") if "system" in self._prompt else None
        texts = [fields.get(name) or "" for name in self._question]
        if not all(isinstance(text, str) for text in (system or "", *texts)) or not any(texts):
            return []
        asked = ("user", "\n\n".join(filter(None, texts)))
        return [("system", system), asked] if system else [asked]


def printing(
    render: Callable[[Conversation], Rendered], fingerprint: Fingerprint | None, said: Said | None = None
) -> Callable[[Conversation], Rendered]:
    """The renderer, whose rows know their fingerprints (None: and those say nothing), and what they say."""

    def rendered(conversation: Conversation) -> Rendered:
        row = render(conversation)
        row.prints = fingerprint(conversation) if fingerprint is not None else NO_PRINTS
        if said is not None:
            row.said = said(conversation)
        return row

    return rendered


def _turn(message: Message) -> Turn:
    if message.tool_calls or message.reasoning_content:
        return message.role, message.content, message.tool_calls, message.reasoning_content
    return message.role, message.content


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=_SIZE).digest()
