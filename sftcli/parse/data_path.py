"""A place in a Conversation -> the place in the record that it came from."""

from typing import Any

from sftcli.conversation import Conversation
from sftcli.errors import RecordError
from sftcli.parse.failure import Names, Place

_TURNS = {"messages": "messages", "sharegpt": "conversations"}


def in_the_data(
    problem: RecordError, record: dict[str, Any], conversation: Conversation, record_format: str, names: Names
) -> RecordError:
    """The error of a later stage, its path in the data's own names; without one where none is known."""
    path = _data_path(problem.path, record, conversation, record_format, names)
    return RecordError(problem.code, problem.message, path=path, column=problem.column)


def _data_path(
    path: Place, record: dict[str, Any], conversation: Conversation, record_format: str, names: Names
) -> Place:
    if path[:1] != ("messages",):
        return (names.get(str(path[0]), path[0]), *path[1:]) if path else path
    name = _TURNS.get(record_format)
    if name is None:
        return ()
    key = names.get(name, name)
    if len(path) == 1:
        return (key,)
    # A system text that stands beside the turns has become the first message.
    added = len(conversation.messages) - len(record[key])
    index = int(path[1]) - added
    return (key, index, *path[2:]) if index >= 0 else (names.get("system", "system"),)
