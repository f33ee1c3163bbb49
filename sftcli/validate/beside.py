"""A record's strings beside what is said in it: tool calls, tool definitions, names, and all others.

They run for the few lines that hold something of interest.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sftcli.parse.failure import Names, Place
from sftcli.parse.keys import decode_text
from sftcli.parse.messages import FUNCTION_CALL, OPENAI, SHAREGPT
from sftcli.validate.texts import Text

_TURNS = {
    "messages": (("messages",), OPENAI),
    "sharegpt": (("conversations",), SHAREGPT),
    "prompt_completion": (("prompt", "completion", "response"), OPENAI),
}
_OF_A_TURN = ("tool_calls", "tool_call_id", "name")


def beside_of(record: Mapping[str, Any], record_format: str | None, names: Names) -> Iterator[Text]:
    """What reaches the row beside the texts: every string and key of tool calls and tools."""
    if record_format not in _TURNS:
        return
    fields, (role, content) = _TURNS[record_format]
    for name in fields:
        key = names.get(name, name)
        turns = record.get(key)
        for index, turn in enumerate(turns if isinstance(turns, list) else []):
            is_call = turn[names.get(role, role)] == FUNCTION_CALL
            for part in (*_OF_A_TURN, *([content] if is_call else [])):
                own = names.get(part, part)
                yield from _strings(turn.get(own), (key, index, own))
    key = names.get("tools", "tools")
    yield from _strings(record.get(key), (key,))


def all_strings(record: Mapping[str, Any]) -> Iterator[Text]:
    """Every string and key that a record holds, also where nothing reads it."""
    yield from _strings(record, ())


def _strings(value: Any, path: Place, inner: Place | None = None) -> Iterator[Text]:
    """The strings and keys below a value; JSON that stands in a string is looked into."""
    if isinstance(value, str):
        opened = _opened(value) if inner is None else None
        if opened is None:
            yield Text(value, path, "other", inner=inner)
        else:
            yield from _strings(opened, path, ())
        return
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        here, below = ((*path, key), None) if inner is None else (path, (*inner, key))
        if isinstance(key, str):
            yield Text(key, here, "other", inner=below, is_key=True)
        yield from _strings(part, here, below)


def _opened(text: str) -> Any:
    """The list or object that a text is the JSON of; None where it is not."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        value = decode_text(text)
    except ValueError:
        return None
    return value if isinstance(value, dict | list) else None
