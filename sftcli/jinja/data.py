"""Conversation -> the plain data that a template sees, its texts each passed through one function."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from sftcli.conversation import Message
from sftcli.jinja.origin import Origin
from sftcli.jinja.tracked import tracked

# Gives a text of a message the form that a render needs: tracked, plain, or disguised.
TextOf = Callable[[str, int, str], str]


@dataclass(frozen=True)
class Shape:
    """How a template wants its messages; found by trying, once per template.

    `content`: a text, or a list of parts. `arguments`: tool arguments as an object, or as its JSON.
    `empty`: what stands for the content of a message that has only tool calls.
    """

    content: Literal["text", "parts"] = "text"
    arguments: Literal["object", "json"] = "object"
    empty: Literal["text", "none"] = "text"


def tracked_text(text: str, turn: int, field: str) -> str:
    return tracked(text, Origin(turn, field))


def plain_text(text: str, turn: int, field: str) -> str:
    return text


def template_messages(
    messages: list[Message], first: int, shape: Shape, text_of: TextOf
) -> list[dict[str, Any]]:
    """The messages as a template sees them: absent is absent. `first` is the first message's turn."""
    return [_message(message, first + index, shape, text_of) for index, message in enumerate(messages)]


def _message(message: Message, turn: int, shape: Shape, text_of: TextOf) -> dict[str, Any]:
    content: Any = text_of(message.content, turn, "content")
    if message.tool_calls and not message.content and shape.empty == "none":
        content = None
    elif shape.content == "parts":
        content = [{"type": "text", "text": content}]
    data: dict[str, Any] = {"role": message.role, "content": content}
    if message.reasoning_content is not None:
        # transformers offers a message's reasoning under both names that templates read.
        reasoning = text_of(message.reasoning_content, turn, "reasoning_content")
        data = {"thinking": reasoning, **data, "reasoning_content": reasoning}
    if message.tool_calls:
        data["tool_calls"] = [
            _tool_call(call, turn, f"tool_calls.{index}", shape, text_of)
            for index, call in enumerate(message.tool_calls)
        ]
    if message.tool_call_id is not None:
        data["tool_call_id"] = text_of(message.tool_call_id, turn, "tool_call_id")
    if message.name is not None:
        data["name"] = text_of(message.name, turn, "name")
    return data


def _tool_call(
    call: Mapping[str, Any], turn: int, field: str, shape: Shape, text_of: TextOf
) -> dict[str, Any]:
    def leaf(text: str) -> str:
        return text_of(text, turn, field)

    function = call.get("function")
    if (
        shape.arguments == "json"
        and isinstance(function, Mapping)
        and not isinstance(function.get("arguments"), str)
    ):
        arguments = json.dumps(function.get("arguments"), ensure_ascii=False)
        call = {**call, "function": {**function, "arguments": arguments}}
    return {leaf(key): _through(value, leaf) for key, value in call.items()}


def template_tools(tools: list[dict[str, Any]] | None, text_of: TextOf) -> list[Any] | None:
    """The tools, which belong to no message: turn -1."""
    if not tools:
        return None
    return [_through(tool, lambda text: text_of(text, -1, "tools")) for tool in tools]


def _through(value: Any, leaf: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return leaf(value)
    if isinstance(value, Mapping):
        return {
            leaf(key) if isinstance(key, str) else key: _through(item, leaf) for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_through(item, leaf) for item in value]
    return value


class Disguise:
    """Data with its letters changed, so that a second render shows where each text went.

    A text keeps its length, its white space and its punctuation, and whatever words and tags the
    template itself asks for, so that the template takes the same way through it. Letters become
    private-use characters, other ones for each message and field.
    """

    def __init__(self, spoken_of: list[str]) -> None:
        self._words = sorted({word for word in spoken_of if word.strip()}, key=len, reverse=True)
        kept = "|".join(map(re.escape, self._words)) or "(?!)"
        self._letters = re.compile(f"({kept})|[^\\W_]+")
        escapes = r"\\u[0-9a-f]{4}|\\[bfnrt\"\\/]"
        self._json_letters = re.compile(f"({kept}|{escapes})|[^\\W_]+")

    def __call__(self, text: str, turn: int, field: str, as_json: bool = False) -> str:
        """`as_json`: of a text that is escaped as in JSON, whose escapes stay."""
        if field not in ("content", "reasoning_content"):
            return text
        base = 0xF0000 + (turn % 1000 + 1) * 64 + (32 if field == "content" else 0)
        change = _change(base)
        if not (as_json and "\\" in text) and not any(word in text for word in self._words):
            return text.translate(change)  # the same, and many times faster than word by word

        def changed(match: re.Match[str]) -> str:
            return match[0] if match[1] else match[0].translate(change)

        return (self._json_letters if as_json else self._letters).sub(changed, text)


class _Change(dict[int, int]):
    """For str.translate: what letters and digits become, whose disguise begins at `base`."""

    def __init__(self, base: int) -> None:
        super().__init__()
        self._base = base

    def __missing__(self, code: int) -> int:
        self[code] = changed = self._base + code % 31 if chr(code).isalnum() else code
        return changed


_change = lru_cache(maxsize=16)(_Change)  # each grows by the characters that it meets
