"""Record -> Conversation: one plain function per record format, in a table by name."""

from collections.abc import Callable, Mapping
from typing import Any

from sftcli.conversation import Conversation, Message, Segment
from sftcli.parse.failure import (
    Names,
    Place,
    fail,
    is_blank,
    missing,
    optional_text,
    text_of,
    type_name,
    wrong_type,
)
from sftcli.parse.messages import OPENAI, SHAREGPT, rename, require_answer, turns
from sftcli.parse.tools import tools_of

Parser = Callable[[dict[str, Any]], Conversation]


def alpaca(record: dict[str, Any], names: Names) -> Conversation:
    """`instruction`, `input`?, `output`, `system`?, `history`?; a missing, null and empty input are one."""
    if names:
        record = rename(record, names)
    instruction, given, output = record.get("instruction"), record.get("input"), record.get("output")
    if type(instruction) is not str:
        instruction = text_of(record, "instruction", (), names)
    if type(output) is not str:
        output = text_of(record, "output", (), names)
    if given is None:
        given = ""
        record = {**record, "input": ""}
    elif type(given) is not str:
        raise wrong_type(given, "text", ("input",), names)
    if not output or output.isspace() or (not output.isascii() and is_blank(output)):
        raise _empty_answer("output", names)
    question = f"{instruction}\n\n{given}" if instruction and given else instruction or given
    if not question or question.isspace() or (not question.isascii() and is_blank(question)):
        raise fail("empty_turn", "the instruction is empty, and so is the input", ("instruction",), names)
    messages = [Message("user", question), Message("assistant", output)]
    if len(record) > 3:
        messages = [*_system(record, names), *_history(record, names), *messages]
    return Conversation(messages, record)


def prompt_completion(record: dict[str, Any], names: Names, *, weighted: bool = False) -> Conversation:
    """`prompt` and `completion` (or `response`), both text or both lists of messages."""
    if names:
        record = rename(record, names)
    answer = _answer_field(record, names)
    prompt, completion = record.get("prompt"), record.get(answer)
    if isinstance(prompt, list) and isinstance(completion, list):
        # What the prompt's assistant said is context, and trained only where it is flagged.
        asked = turns(prompt, ("prompt",), names, OPENAI, answers_trained=False, weighted=weighted)
        answered = turns(completion, (answer,), names, OPENAI, weighted=weighted)
        require_answer(answered, (answer,), names)
        return Conversation([*_system(record, names), *asked, *answered], tools=tools_of(record, names))
    if isinstance(prompt, list) and isinstance(completion, str):
        raise wrong_type(completion, "a list of messages, as `prompt` is one", (answer,), names)
    prompt = text_of(record, "prompt", (), names)
    completion = text_of(record, answer, (), names)
    if is_blank(completion):
        raise _empty_answer(answer, names)
    if is_blank(prompt):
        raise fail("empty_turn", "the prompt is empty", ("prompt",), names)
    messages = [*_system(record, names), Message("user", prompt), Message("assistant", completion)]
    return Conversation(messages, {**record, "completion": completion, "response": completion})


def openai_messages(record: dict[str, Any], names: Names, *, weighted: bool = False) -> Conversation:
    """OpenAI's `messages` of {role, content, ...}, and `tools`?."""
    return _conversation(record, "messages", OPENAI, names, weighted)


def sharegpt(record: dict[str, Any], names: Names, *, weighted: bool = False) -> Conversation:
    """`conversations` of {from, value}, `system`? and `tools`?."""
    return _conversation(record, "conversations", SHAREGPT, names, weighted)


def segments(record: dict[str, Any], names: Names) -> Conversation:
    """`segments` of {text, label}, which are the row's whole layout; label true is trained."""
    if names:
        record = rename(record, names)
    if "segments" not in record:
        raise missing(record, "segments", (), names)
    items = record["segments"]
    place: Place = ("segments",)
    if not isinstance(items, list):
        raise wrong_type(items, "a list of segments", place, names)
    if not items:
        raise fail("bad_segments", "the list of segments is empty", place, names)
    found = [_segment(item, (*place, index), names) for index, item in enumerate(items)]
    if not any(segment.trained and segment.text for segment in found):
        raise fail("nothing_trained", "no segment with text has the label true", place, names)
    return Conversation(segments=found)


def text(record: dict[str, Any], names: Names) -> Conversation:
    """`text`, trained whole."""
    if names:
        record = rename(record, names)
    value = text_of(record, "text", (), names)
    if is_blank(value):
        raise fail("empty_text", "the text is empty", ("text",), names)
    return Conversation(segments=[Segment(value, True)])


def fields(record: dict[str, Any], names: Names) -> Conversation:
    """Any record, for a prompt template that names the fields it uses."""
    return Conversation(fields=rename(record, names) if names else record)


FORMATS: Mapping[str, Callable[..., Conversation]] = {
    "alpaca": alpaca,
    "prompt_completion": prompt_completion,
    "messages": openai_messages,
    "sharegpt": sharegpt,
    "segments": segments,
    "text": text,
    "fields": fields,
}
# Those whose messages may have a weight; they are told whether to read it (`weighted`).
WITH_WEIGHTS = ("prompt_completion", "messages", "sharegpt")


def _conversation(
    record: dict[str, Any], name: str, keys: tuple[str, str], names: Names, weighted: bool
) -> Conversation:
    if names:
        record = rename(record, names)
    if name not in record:
        raise missing(record, name, (), names)
    messages = turns(record[name], (name,), names, keys, weighted=weighted)
    require_answer(messages, (name,), names)
    if len(record) > 1:
        return Conversation([*_system(record, names), *messages], tools=tools_of(record, names))
    return Conversation(messages)


def _system(record: Mapping[str, Any], names: Names) -> list[Message]:
    system = optional_text(record, "system", (), names)
    return [Message("system", system)] if system else []


def _history(record: Mapping[str, Any], names: Names) -> list[Message]:
    """Earlier turns, as [user, assistant] pairs."""
    pairs = record.get("history")
    if pairs is None:
        return []
    if not isinstance(pairs, list):
        raise wrong_type(pairs, "a list of [user, assistant] pairs", ("history",), names)
    messages = []
    for index, pair in enumerate(pairs):
        place = ("history", index)
        if not isinstance(pair, list) or [type(part) for part in pair] != [str, str]:
            message = f"expected a pair of texts [user, assistant], found {type_name(pair)}"
            if isinstance(pair, list):
                message += f" of {', '.join(map(type_name, pair)) or 'nothing'}"
            raise fail("wrong_type", message, place, names)
        if is_blank(pair[0]):
            raise fail("empty_turn", "the user's turn is empty", (*place, 0), names)
        if is_blank(pair[1]):
            raise fail("empty_answer", "the answer is empty; drop the turn", (*place, 1), names)
        messages += [Message("user", pair[0]), Message("assistant", pair[1])]
    return messages


def _answer_field(record: Mapping[str, Any], names: Names) -> str:
    completion, response = record.get("completion"), record.get("response")
    if completion is not None and response is not None and completion != response:
        message = "both 'completion' and 'response' are there; choose one with --field completion=response"
        raise fail("ambiguous_field", message, ("response",), names)
    if completion is None and "response" in record:
        return "response"
    if "completion" not in record:
        raise missing(record, "completion", (), names)
    return "completion"


def _empty_answer(name: str, names: Names) -> Exception:
    return fail("empty_answer", "the answer is empty; drop the record or fill it in", (name,), names)


def _segment(item: object, place: Place, names: Names) -> Segment:
    if not isinstance(item, dict):
        raise wrong_type(item, "a segment {text, label}", place, names)
    if names:
        item = rename(item, names)
    value = text_of(item, "text", place, names)
    if "label" not in item:
        raise missing(item, "label", place, names)
    if not isinstance(item["label"], bool):
        raise wrong_type(item["label"], "true or false", (*place, "label"), names)
    return Segment(value, item["label"])
