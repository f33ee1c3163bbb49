"""A record's texts with their places: what the rules on content look at."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from sftcli.parse.failure import Names, Place
from sftcli.parse.messages import FUNCTION_CALL, OPENAI, ROLES, SHAREGPT

_SPACES = " \t"
Part = Literal["prompt", "answer", "other"]


class Text(NamedTuple):
    """A text, the way to it from the record's root in the data's own names, and what it is.

    `touches`: the answer follows it with nothing in between. `inner`: the string at `path` is itself
    JSON, and this is the way to the text in there. `is_key`: it is the last key of its way, and not what
    stands under it.
    """

    text: str
    path: Place
    part: Part
    touches: bool = False
    inner: Place | None = None
    is_key: bool = False

    @property
    def loose_end(self) -> int | None:
        """Where the spaces and tabs begin that a prompt ends in just before its answer, if it does.

        A line break is no matter: tokens do not reach across it as they do across a space.
        """
        if not self.touches or not self.text.endswith((" ", "\t")):
            return None
        return len(self.text.rstrip(_SPACES))


def texts_of(record: Mapping[str, Any], record_format: str | None, names: Names) -> list[Text]:
    """All texts of a record that the parser took, in order; of an unknown shape all there are."""
    read = _READERS.get(record_format or "", _anything)
    return list(read(record, names))


def _alpaca(record: Mapping[str, Any], names: Names) -> Iterator[Text]:
    yield from _field(record, "system", "other", names)
    key = names.get("history", "history")
    for index, pair in enumerate(record.get(key) or []):
        yield Text(pair[0], (key, index, 0), "prompt")
        yield Text(pair[1], (key, index, 1), "answer")
    yield from _field(record, "instruction", "prompt", names)
    yield from _field(record, "input", "prompt", names)
    yield from _field(record, "output", "answer", names)


def _prompt_completion(record: Mapping[str, Any], names: Names) -> Iterator[Text]:
    yield from _field(record, "system", "other", names)
    for name in ("prompt", "completion", "response"):
        key = names.get(name, name)
        value = record.get(key)
        if isinstance(value, list):
            yield from _turns(value, (key,), names, OPENAI)
        elif isinstance(value, str):
            is_prompt = name == "prompt"
            yield Text(value, (key,), "prompt" if is_prompt else "answer", touches=is_prompt)


def _messages(record: Mapping[str, Any], names: Names) -> Iterator[Text]:
    key = names.get("messages", "messages")
    yield from _turns(record[key], (key,), names, OPENAI)


def _sharegpt(record: Mapping[str, Any], names: Names) -> Iterator[Text]:
    yield from _field(record, "system", "other", names)
    key = names.get("conversations", "conversations")
    yield from _turns(record[key], (key,), names, SHAREGPT)


def _turns(items: list[Any], place: Place, names: Names, keys: tuple[str, str]) -> Iterator[Text]:
    role_key, content_key = (names.get(key, key) for key in keys)
    for index, item in enumerate(items):
        role = item[role_key]
        yield from _field(item, "reasoning_content", "other", names, (*place, index))
        if role == FUNCTION_CALL:
            continue  # its content is a tool call
        part: Part = {"user": "prompt", "assistant": "answer"}.get(ROLES[role], "other")  # type: ignore[assignment]
        content = item.get(content_key)
        here: Place = (*place, index, content_key)
        if isinstance(content, str):
            yield Text(content, here, part)
        elif isinstance(content, list):
            # Fences and tags may be opened in one part and closed in the next.
            whole: Part = part if len(content) == 1 else "other"
            yield from (Text(piece["text"], (*here, at, "text"), whole) for at, piece in enumerate(content))


def _segments(record: Mapping[str, Any], names: Names) -> Iterator[Text]:
    key = names.get("segments", "segments")
    items = record[key]
    text, label = names.get("text", "text"), names.get("label", "label")
    for index, item in enumerate(items):
        meets = not item[label] and index + 1 < len(items) and items[index + 1][label]
        yield Text(item[text], (key, index, text), "other", touches=meets)


def _text(record: Mapping[str, Any], names: Names) -> Iterator[Text]:
    yield from _field(record, "text", "other", names)


def _anything(record: Mapping[str, Any], names: Names) -> Iterator[Text]:
    for key, value in record.items():
        if isinstance(value, str):
            yield Text(value, (key,), "other")


def _field(
    record: Mapping[str, Any], name: str, part: Part, names: Names, place: Place = ()
) -> Iterator[Text]:
    key = names.get(name, name)
    value = record.get(key)
    if isinstance(value, str):
        yield Text(value, (*place, key), part)


_READERS = {
    "alpaca": _alpaca,
    "prompt_completion": _prompt_completion,
    "messages": _messages,
    "sharegpt": _sharegpt,
    "segments": _segments,
    "text": _text,
}
