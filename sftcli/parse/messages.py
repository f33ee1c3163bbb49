"""The turns of a conversation, with their flags."""

from collections.abc import Mapping, Sequence
from typing import Any

from sftcli.conversation import MAX_WEIGHT, MIN_WEIGHT, WEIGHTS, Message, Role
from sftcli.parse.failure import (
    Names,
    Place,
    fail,
    is_blank,
    missing,
    optional_text,
    shown,
    text_of,
    type_name,
    wrong_type,
)
from sftcli.parse.reads import FLAGS
from sftcli.parse.tools import calls_in_text, tool_calls

ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}
FUNCTION_CALL = "function_call"  # a role whose content is a tool call that the assistant makes

Keys = tuple[str, str]  # the names of a turn's role and content
OPENAI: Keys = ("role", "content")
SHAREGPT: Keys = ("from", "value")


def turns(
    items: object,
    place: Place,
    names: Names,
    keys: Keys,
    answers_trained: bool | None = None,
    *,
    weighted: bool = False,
) -> list[Message]:
    """The messages of a list of turns.

    `answers_trained` is for assistant turns without a flag of their own. `weighted`: a turn's
    `weight` may be any number.
    """
    if not isinstance(items, list):
        raise wrong_type(items, "a list of messages", place, names)
    if not items:
        raise fail("empty_messages", "the conversation has no messages", place, names)
    role_key, content_key = keys
    if names:
        items = [rename(item, names) if isinstance(item, dict) else item for item in items]
    messages = []
    for index, item in enumerate(items):
        # Nearly all turns are just two texts; whatever is not goes the long way.
        if answers_trained is None and type(item) is dict and len(item) == 2:
            role, content = item.get(role_key), item.get(content_key)
            if (
                type(role) is str
                and role in ROLES
                and type(content) is str
                and content
                and not content.isspace()
                and (content.isascii() or not is_blank(content))
            ):
                messages.append(Message(ROLES[role], content))
                continue
        messages.append(_turn(item, (*place, index), names, keys, answers_trained, weighted))
    return messages


def require_answer(messages: Sequence[Message], place: Place, names: Names) -> None:
    for message in messages:
        if message.role == "assistant":
            return
    raise fail("no_assistant_turn", "there is no assistant turn, so nothing to learn", place, names)


def rename(record: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """The record under canonical names; a key that another one was named for is left out."""
    mapped = {name: record[key] for name, key in names.items() if key in record}
    own = {key: value for key, value in record.items() if key not in names and key not in names.values()}
    return {**own, **mapped}


def flag(
    item: Mapping[str, Any], place: Place, names: Names, weighted: bool = False
) -> tuple[bool | None, float]:
    """What the turn's own flags say, None where it has none; and its weight, which is 1 unless `weighted`."""
    found: dict[str, bool] = {}
    weight = 1.0
    for name in FLAGS:
        value = item.get(name)
        if value is None:
            continue
        if not isinstance(value, bool | int | float):
            raise wrong_type(value, "0, 1, true or false", (*place, name), names)
        if value not in (0, 1):
            _check_weight(value, name, (*place, name), names, weighted)
            weight = float(value)
        found[name] = bool(value)
    if len(set(found.values())) > 1:
        said = ", ".join(f"{name} is {str(value).lower()}" for name, value in found.items())
        raise fail("flag_conflict", f"flags contradict each other: {said}", place, names)
    return next(iter(found.values()), None), weight


def _check_weight(value: float, name: str, place: Place, names: Names, weighted: bool) -> None:
    """Raise RecordError for a flag that is neither 0 nor 1, unless it is a weight that can be used."""
    if name != "weight":
        cure = " (weights in between stand in `weight`)" if weighted else ""
        raise fail("wrong_type", f"expected 0, 1, true or false, found {shown(value)}{cure}", place, names)
    if not weighted:
        message = (
            f"expected 0, 1, true or false, found {shown(value)}; pass --loss-weight assistant=1 to write "
            "weights into a column `loss_weights`"
        )
        raise fail("wrong_type", message, place, names)
    if not MIN_WEIGHT <= value <= MAX_WEIGHT:
        message = f"expected {WEIGHTS}, found {shown(value)}"
        raise fail("wrong_type", message, place, names)


def _turn(
    item: object, place: Place, names: Names, keys: Keys, answers_trained: bool | None, weighted: bool
) -> Message:
    if not isinstance(item, dict):
        raise wrong_type(item, f"a message {{{keys[0]}, {keys[1]}}}", place, names)
    name = _role(item, place, names, keys[0])
    role = ROLES.get(name, "assistant")
    trained, weight = flag(item, place, names, weighted)
    if trained is None and role == "assistant":
        trained = answers_trained
    calls = tool_calls(item, place, names)
    if calls and role != "assistant":
        message = f"only the assistant calls tools, and this is {role!r}"
        raise fail("unexpected_tool_calls", message, (*place, "tool_calls"), names)
    content = _content(item, place, names, keys[1], bool(calls))
    if name == FUNCTION_CALL:
        calls = [*(calls or []), *calls_in_text(content, (*place, keys[1]), names)]
        content = ""
    if is_blank(content):
        _check_blank(role, trained, bool(calls), (*place, keys[1]), names)
    return Message(
        role,
        content,
        trained,
        calls,
        tool_call_id=optional_text(item, "tool_call_id", place, names),
        name=optional_text(item, "name", place, names),
        reasoning_content=optional_text(item, "reasoning_content", place, names),
        weight=weight,
    )


def _role(item: Mapping[str, Any], place: Place, names: Names, key: str) -> str:
    other = SHAREGPT if key == OPENAI[0] else OPENAI
    if key not in item and other[0] in item:
        cure = f"--field {key}={other[0]} --field {'value' if key == 'from' else 'content'}={other[1]}"
        raise fail(
            "missing_field", f"field {key!r} is missing, but {other[0]!r} is there: {cure}", place, names
        )
    name = text_of(item, key, place, names)
    if name not in ROLES and name != FUNCTION_CALL:
        known = ", ".join([*ROLES, FUNCTION_CALL])
        raise fail("unknown_role", f"unknown role {shown(name)}; known: {known}", (*place, key), names)
    return name


def _content(item: Mapping[str, Any], place: Place, names: Names, key: str, has_calls: bool) -> str:
    content = item.get(key)
    if isinstance(content, str):
        return content
    if content is None:
        if has_calls:
            return ""
        if key not in item:
            raise missing(item, key, place, names)
        raise fail("null_content", "null is for a message with tool_calls", (*place, key), names)
    if isinstance(content, list):
        return "".join(_part(part, (*place, key, index), names) for index, part in enumerate(content))
    raise wrong_type(content, "text or a list of parts", (*place, key), names)


def _part(part: object, place: Place, names: Names) -> str:
    if not isinstance(part, dict):
        raise fail("wrong_type", f"expected a part {{type, text}}, found {type_name(part)}", place, names)
    kind = text_of(part, "type", place, {})
    if kind != "text":
        message = f"a part of type {shown(kind)}: only text can be trained on"
        raise fail("unsupported_part", message, (*place, "type"), names)
    return text_of(part, "text", place, names)


def _check_blank(role: Role, trained: bool | None, has_calls: bool, place: Place, names: Names) -> None:
    """An empty answer teaches to say nothing; an empty question is a hole in the data."""
    if role == "assistant" and not has_calls and trained is not False:
        message = 'the answer is empty; drop the record, or flag this turn with "train": false'
        raise fail("empty_answer", message, place, names)
    if role == "user":
        raise fail("empty_turn", "the user's turn is empty", place, names)
