"""Family R: a record's shape and its roles."""

from sftcli.rules.rule import Rule

_PAIR = '{"prompt": "2+2=", "completion": "4"}'
_CHAT = '{"messages": [{"role": "user", "content": "2+2="}, {"role": "assistant", "content": "4"}]}'
_CALL = (
    '{{"messages": [{{"role": "user", "content": "Time?"}}, {{"role": "assistant", "content": null, '
    '"tool_calls": [{{"type": "function", "function": {{"name": "now", "arguments": {}}}}}]}}]}}'
)
_TOOLS = (
    '{{"messages": [{{"role": "user", "content": "Hi"}}, {{"role": "assistant", "content": "Hello"}}], {}}}'
)

RULES = (
    Rule(
        "R001",
        "unknown_format",
        "error",
        "The records have no shape that is known.",
        example='{"question": "2+2=", "answer": "4"}',
        cure="Say which fields are which, such as with --field prompt=question --field completion=answer.",
        instead=_PAIR,
    ),
    Rule(
        "R002",
        "missing_field",
        "error",
        "A field that the format needs is not there.",
        example=_PAIR + "\n" + '{"prompt": "2+2="}',
        cure="Add the field, or name the key it has in the data with --field NAME=KEY.",
        instead=_PAIR,
    ),
    Rule(
        "R003",
        "wrong_type",
        "error",
        "A value is of another type than its field takes.",
        example='{"prompt": "2+2=", "completion": 4}',
        cure="Write the value as the type that the message names; nothing is converted by guessing.",
        instead=_PAIR,
    ),
    Rule(
        "R004",
        "ambiguous_field",
        "error",
        "Two fields hold the answer, and they differ.",
        example='{"prompt": "2+2=", "completion": "4", "response": "four"}',
        cure="Drop one of them, or choose with --field completion=response.",
        instead=_PAIR,
    ),
    Rule(
        "R005",
        "bad_segments",
        "error",
        "A list of segments is empty.",
        example='{"segments": []}',
        cure="Drop the record, or fill the list in.",
        instead='{"segments": [{"text": "2+2=", "label": false}, {"text": "4", "label": true}]}',
    ),
    Rule(
        "R006",
        "empty_messages",
        "error",
        "A conversation has no messages.",
        example='{"messages": []}',
        cure="Drop the record.",
        instead=_CHAT,
    ),
    Rule(
        "R007",
        "unknown_role",
        "error",
        "A message's role is none of those that are known.",
        example='{"messages": [{"role": "boss", "content": "2+2="}, {"role": "assistant", "content": "4"}]}',
        cure="Rename the role to one of those that the message lists.",
        instead=_CHAT,
    ),
    Rule(
        "R008",
        "no_assistant_turn",
        "error",
        "A conversation has no assistant turn, so there is nothing to learn.",
        example='{"messages": [{"role": "user", "content": "2+2="}]}',
        cure="Drop the record, or add the answer.",
        instead=_CHAT,
    ),
    Rule(
        "R009",
        "nothing_trained",
        "error",
        "No segment with text is to be trained.",
        example='{"segments": [{"text": "2+2=4", "label": false}]}',
        cure="Give the segments that are to be learnt the label true.",
        instead='{"segments": [{"text": "2+2=", "label": false}, {"text": "4", "label": true}]}',
    ),
    Rule(
        "R010",
        "null_content",
        "error",
        "A message without tool calls has null for its content.",
        example='{"messages": [{"role": "user", "content": "2+2="}, {"role": "assistant", "content": null}]}',
        cure="Fill the content in, or drop the message.",
        instead=_CHAT,
    ),
    Rule(
        "R011",
        "tool_arguments",
        "error",
        "A tool call's arguments are not a JSON object.",
        example=_CALL.format('"now please"'),
        cure="Write the arguments as an object, or as the JSON text of one.",
        instead=_CALL.format('"{}"'),
    ),
    Rule(
        "R012",
        "bad_tools",
        "error",
        "The tool definitions are a text that is not JSON.",
        example=_TOOLS.format('"tools": "now()"'),
        cure="Write `tools` as a list of definitions, or as the JSON text of one.",
        instead=_TOOLS.format('"tools": [{"type": "function", "function": {"name": "now"}}]'),
    ),
    Rule(
        "R013",
        "unexpected_tool_calls",
        "error",
        "A message that is not the assistant's has tool calls.",
        example=_CALL.format('"{}"').replace('"assistant"', '"user"'),
        cure="Give the message the role assistant, or drop the calls.",
        instead=_CALL.format('"{}"'),
    ),
    Rule(
        "R014",
        "unsupported_part",
        "error",
        "A part of a message is no text, such as a picture.",
        example=(
            '{"messages": [{"role": "user", "content": [{"type": "image_url"}]}, '
            '{"role": "assistant", "content": "A cat."}]}'
        ),
        cure="Drop the record: only text can be trained on.",
        instead=(
            '{"messages": [{"role": "user", "content": [{"type": "text", "text": "2+2="}]}, '
            '{"role": "assistant", "content": "4"}]}'
        ),
    ),
    Rule(
        "R015",
        "flag_conflict",
        "error",
        "Two flags of a message say opposite things about its training.",
        example=(
            '{"messages": [{"role": "user", "content": "2+2="}, '
            '{"role": "assistant", "content": "4", "train": true, "weight": 0}]}'
        ),
        cure="Keep one of the flags.",
        instead=(
            '{"messages": [{"role": "user", "content": "2+2="}, '
            '{"role": "assistant", "content": "4", "train": true}]}'
        ),
    ),
    Rule(
        "R016",
        "trailing_user_turn",
        "warning",
        "A conversation ends in a turn of the user that nobody answers.",
        example=_CHAT.replace("]}", ', {"role": "user", "content": "And 3+3?"}]}'),
        cure="Take the turn out, for nothing is learnt from it; --fix does.",
        instead=_CHAT,
    ),
)

# What `prepare` alone finds, when it is not there to tell.
OF_PREPARE = (
    Rule(
        "R017",
        "kills_process",
        "error",
        "Two processes of `prepare` that read a record were killed, one after the other.",
        example='{"prompt": "Say it 10,000,000 times.", "completion": "It it it it it it it it ..."}',
        cure="Look at the record: most such ones are very long. Take it out, or run with more memory.",
    ),
)
