"""Which format the records are in, and the function that reads them."""

import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sftcli.conversation import Conversation
from sftcli.errors import RecordError, Reject, UsageError
from sftcli.parse.failure import Names, text_of, what_is_there
from sftcli.parse.formats import FORMATS, WITH_WEIGHTS, Parser
from sftcli.parse.messages import rename

TemplateFields = tuple[Sequence[str], Sequence[str]]  # those a prompt template requires, and may use
_OTHER_FORMAT = "this record looks like format"  # as the message of a record says it


def detect_format(records: Sequence[dict[str, Any]], names: Names, prompt_fields: Sequence[str] = ()) -> str:
    """The format of the first record that has one, by its keys.

    `prompt_fields` are the fields that the prompt template in use requires: records that have
    them all are `fields`, unless alpaca or prompt_completion says the same and more. Raises
    RecordError `unknown_format` where no record fits anything.
    """
    for record in records:
        found = format_of(rename(record, names) if names else record, prompt_fields)
        if found:
            return found
    there = what_is_there(list(records[0])) if records else "there is no record to look at"
    raise RecordError(
        "unknown_format",
        f"no known record format: {there}; known are {', '.join(FORMATS)}. Name the format with "
        f"--record-format, or the fields with --field NAME=KEY ({_fields_hint(records)})",
    )


# Keys under which sets of questions and answers have them, the likeliest first.
_ASKED = ("prompt", "question", "query", "instruction", "problem", "input", "user")
_ANSWERED = ("completion", "response", "answer", "output", "solution", "target", "reply", "assistant")


def _fields_hint(records: Sequence[dict[str, Any]]) -> str:
    """The options with which the first record would be read, where its keys say so; else an example."""
    there = {key.lower(): key for key in records[0] if isinstance(records[0][key], str)} if records else {}
    asked = next((there[name] for name in _ASKED if name in there), None)
    answered = next((there[name] for name in _ANSWERED if name in there), None)
    if asked is None or answered is None:
        return "such as --field output=answer"
    named = (("prompt", asked), ("completion", answered))
    pairs = [shlex.quote(f"{name}={key}") for name, key in named if name != key]
    return "here: " + " ".join(f"--field {pair}" for pair in pairs)


def format_of(record: Mapping[str, Any], prompt_fields: Sequence[str] = ()) -> str | None:
    """The format that a record's canonical keys speak for."""
    is_alpaca = "instruction" in record and "output" in record
    is_pair = "prompt" in record and ("completion" in record or "response" in record)
    if prompt_fields and not is_alpaca and not is_pair and all(name in record for name in prompt_fields):
        return "fields"
    for name, found in (
        ("messages", "messages" in record),
        ("sharegpt", "conversations" in record),
        ("segments", "segments" in record),
        ("alpaca", is_alpaca),
        ("prompt_completion", is_pair),
        ("text", "text" in record),
    ):
        if found:
            return name
    return None


def make_parser(
    record_format: str, names: Names, template_fields: TemplateFields = ((), ()), *, weighted: bool = False
) -> Parser:
    """The function from a record to its Conversation.

    `names` maps canonical field names to the data's own. `template_fields` are looked at for the
    format `fields` alone. `weighted`: the weight of a message may be any number, not just 0 and 1.
    Raises UsageError for a format that does not exist.
    """
    if record_format not in FORMATS:
        raise UsageError(f"unknown record format {record_format!r}; known: {', '.join(FORMATS)}")
    to_conversation = FORMATS[record_format]
    if weighted and record_format in WITH_WEIGHTS:
        to_conversation = partial(to_conversation, weighted=True)
    required, optional = template_fields if record_format == "fields" else ((), ())

    def parse(record: dict[str, Any]) -> Conversation:
        try:
            conversation = to_conversation(record, names)
            if required or optional:
                _check_fields(conversation.fields, required, optional, names)
            return conversation
        except RecordError as problem:
            raise _with_hint(problem, record, record_format, names) from None

    return parse


def of_another_format(rejects: Sequence[Reject], files: Sequence[str]) -> str | None:
    """The first input but the very first one that begins with a record of another format."""
    begins = {reject.file for reject in rejects if reject.line == 1 and _OTHER_FORMAT in reject.message}
    return next((file for file in files if file in begins), None) if files[0] not in begins else None


def _check_fields(
    fields: Mapping[str, Any], required: Sequence[str], optional: Sequence[str], names: Names
) -> None:
    for name in required:
        if type(fields.get(name)) is not str:
            text_of(fields, name, (), names)
    for name in optional:
        if fields.get(name) is not None:
            text_of(fields, name, (), names)


def _with_hint(
    problem: RecordError, record: Mapping[str, Any], record_format: str, names: Names
) -> RecordError:
    """Where a whole field is missing, say so if the record looks like one of another format."""
    looks_like = format_of(rename(record, names) if names else record)
    if problem.code != "missing_field" or problem.path or looks_like in (None, record_format):
        return problem
    message = f"{problem.message}; {_OTHER_FORMAT} {looks_like}, not {record_format}"
    return RecordError(problem.code, message, path=problem.path, column=problem.column)
