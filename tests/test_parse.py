"""Line -> Conversation."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftcli.conversation import Conversation, Message, Segment
from sftcli.errors import RecordError, UsageError
from sftcli.parse import FORMATS, column_of, decode_line, detect_format, make_parser
from sftcli.parse.messages import FLAGS, ROLES
from sftcli.read import LINE_TOO_LONG


def parse(
    record_format: str, record: Any, names: Mapping[str, str] | None = None, fields: Any = ((), ())
) -> Conversation:
    """Through JSON, as a run does it."""
    decoded = decode_line(json.dumps(record).encode())
    assert decoded is not None
    return make_parser(record_format, names or {}, fields)(decoded)


def failure(
    record_format: str, record: Any, names: Mapping[str, str] | None = None, fields: Any = ((), ())
) -> tuple[str, tuple[str | int, ...], str]:
    with pytest.raises(RecordError) as caught:
        parse(record_format, record, names, fields)
    return caught.value.code, caught.value.path, caught.value.message


def user(content: str, **more: Any) -> Message:
    return Message("user", content, **more)


def answer(content: str, **more: Any) -> Message:
    return Message("assistant", content, **more)


# --- line -> record


@pytest.mark.parametrize("raw", [b"", b" ", b"\t \r"])
def test_blank_lines(raw: bytes) -> None:
    assert decode_line(raw) is None


@pytest.mark.parametrize(("raw", "column"), [(b"\x0b", 1), (b" \t\x0c ", 3), ("\u00a0".encode(), 1)])
def test_what_is_no_white_space_to_json_is_no_blank_line(raw: bytes, column: int) -> None:
    with pytest.raises(RecordError) as caught:
        decode_line(raw)
    assert (caught.value.code, caught.value.column) == ("json", column)


def test_a_record() -> None:
    line = b' {"a": "\\u00e9\\ud83d\\ude00\\u0000", "b": [1, 2.5, true, null], "c": {}} '
    assert decode_line(line) == {"a": "é😀\0", "b": [1, 2.5, True, None], "c": {}}


TOO_LARGE = "a number that is too large"
HALF = "is half a surrogate pair, which is no character"
MORE = "more text after the end of the record: one record per line"
NO_END = "this string has no end: the line was cut short or broken in two"
ICONV = "; convert the file, such as with iconv -f WINDOWS-1252 -t UTF-8"
ENDS = "; the line ends here: it was cut short, or one record spans several lines"
PYTHON = "; this is Python's notation: write records with json.dumps"


@pytest.mark.parametrize(
    ("raw", "code", "column", "message"),
    [
        (b"null", "not_object", 1, "expected an object {...}, found null"),
        (b"  [1]", "not_object", 3, "expected an object {...}, found a list"),
        (b'"a"', "not_object", 1, "expected an object {...}, found text"),
        (b"3", "not_object", 1, "expected an object {...}, found a number"),
        (b"true", "not_object", 1, "expected an object {...}, found true or false"),
        (
            b'{"a": "\xff"}',
            "utf8",
            8,
            "byte 0xff is not UTF-8 (invalid start byte)" + ICONV,
        ),
        (
            '{"é😀": "'.encode() + b'\xed\xa0\x80"}',
            "utf8",
            9,
            "byte 0xed is not UTF-8 (invalid continuation byte)" + ICONV,
        ),
        (
            b'{"a": 1}\xff',
            "utf8",
            9,
            "byte 0xff is not UTF-8 (invalid start byte)" + ICONV,
        ),
        (b'{"a": NaN}', "not_json_constant", 7, "NaN is not JSON; write null, or drop the record"),
        (
            b'{"NaN": [1, -Infinity]}',
            "not_json_constant",
            13,
            "-Infinity is not JSON; write null, or drop the record",
        ),
        (b'{"a": 1e400}', "number_out_of_range", 7, f"1e400: {TOO_LARGE}"),
        (b'{"1e400": -1e400}', "number_out_of_range", 11, f"-1e400: {TOO_LARGE}"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "number_out_of_range", 7, f"1{'0' * 23}...: {TOO_LARGE}"),
        (b'{"a": "\\ud800"}', "lone_surrogate", 8, f"\\ud800 {HALF}"),
        (b'{"a": "\\udc00"}', "lone_surrogate", 8, f"\\udc00 {HALF}"),
        (b'{"a": "\\\\ud800 \\ud83d\\ude00 \\ud800\\ud800"}', "lone_surrogate", 29, f"\\ud800 {HALF}"),
        (b'{"a": 1}{"b": 2}', "extra_data", 9, MORE),
        (b'{"a": 1} x', "extra_data", 10, MORE),
        (b'{"a": "abc', "cut_short", 7, NO_END),
        ('{"é": "日本", "b": "'.encode(), "cut_short", 18, NO_END),
        (
            b'{"a": "\t"}',
            "control_character",
            8,
            r"a raw control character inside a string: write \n, \t or \u00XX",
        ),
        (b"{'a': 1}", "python_notation", 2, "expected a field name in double quotes" + PYTHON),
        (b'{"a": True}', "python_notation", 7, "expected a value" + PYTHON),
        (b'{"a": 1 <b>}', "json", 9, "expecting ',' delimiter, found '<'"),
        (b'{"a": 1},', "trailing_comma", 9, "a comma after the record; remove it"),
        (
            b'{"a": 1}, {"a": 2}',
            "extra_data",
            9,
            "more text after the end of the record: one record per line",
        ),
        (b"// a note", "json", 1, "JSON has no comments; remove the one that begins with //"),
        (b'{"a": 1 /* one */}', "json", 9, "JSON has no comments; remove the one that begins with /*"),
        (b"=======", "merge_conflict", 1, "======= is a merge conflict marker; resolve the conflict"),
        (b">>>>>>> topic", "merge_conflict", 1, ">>>>>>> is a merge conflict marker; resolve the conflict"),
        (b"========", "json", 1, "expected a value, found '='"),
        (b"hello", "json", 1, "expected a value, found 'hello'"),
        (b'{"a": ', "cut_short", 7, "expected a value" + ENDS),
        (b"{", "cut_short", 2, "expected a field name in double quotes" + ENDS),
        ('{"é": "日" x}'.encode(), "json", 11, "expecting ',' delimiter, found 'x'"),
        (
            b'\xef\xbb\xbf{"a": 1}',
            "bom_inside",
            1,
            "a byte order mark inside the file: files were joined; remove it",
        ),
        (b'{"a": ' + b"[" * 100_000, "too_deep", 134, "lists and objects are nested more than 128 deep"),
        (LINE_TOO_LONG, "line_too_long", 1, "the line is longer than 64 MiB; no record is"),
    ],
)
def test_lines_that_are_no_record(raw: bytes, code: str, column: int, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        decode_line(raw)
    assert (caught.value.code, caught.value.column, caught.value.message) == (code, column, message)


# --- alpaca


@pytest.mark.parametrize("more", [{}, {"input": None}, {"input": ""}])
def test_alpaca_input_missing_null_and_empty_are_one(more: dict[str, Any]) -> None:
    record = {"instruction": "2+2?", "output": "4", **more}
    assert parse("alpaca", record) == Conversation(
        [user("2+2?"), answer("4")], {"instruction": "2+2?", "input": "", "output": "4"}
    )


@pytest.mark.parametrize(
    ("instruction", "given", "question"),
    [("Add.", "2+2", "Add.\n\n2+2"), ("", "2+2", "2+2"), ("{x}", "{{y}}", "{x}\n\n{{y}}")],
)
def test_alpaca_input(instruction: str, given: str, question: str) -> None:
    record = {"instruction": instruction, "input": given, "output": "4"}
    assert parse("alpaca", record) == Conversation([user(question), answer("4")], record)


def test_alpaca_system_and_history() -> None:
    record = {
        "instruction": "c",
        "input": "",
        "output": "d",
        "system": "s",
        "history": [["a", "b"]],
        "id": 7,
        "date": "2024-01-01T00:00:00",
    }
    messages = [Message("system", "s"), user("a"), answer("b"), user("c"), answer("d")]
    assert parse("alpaca", record) == Conversation(messages, record)


@pytest.mark.parametrize("more", [{"system": None, "history": None}, {"system": "", "history": []}])
def test_alpaca_without_system_and_history(more: dict[str, Any]) -> None:
    record = {"instruction": "c", "input": "", "output": "d", **more}
    assert parse("alpaca", record).messages == [user("c"), answer("d")]


def test_alpaca_under_other_names() -> None:
    record = {"q": "c", "output": "the source of it", "answer": "d", "input": "i"}
    names = {"instruction": "q", "output": "answer"}
    assert parse("alpaca", record, names) == Conversation(
        [user("c\n\ni"), answer("d")], {"input": "i", "instruction": "c", "output": "d"}
    )


# --- prompt_completion


@pytest.mark.parametrize("name", ["completion", "response"])
def test_prompt_completion(name: str) -> None:
    record = {"prompt": "2+2=", name: "4", "id": 1}
    assert parse("prompt_completion", record) == Conversation(
        [user("2+2="), answer("4")], {"prompt": "2+2=", "completion": "4", "response": "4", "id": 1}
    )


def test_prompt_completion_with_a_system_text() -> None:
    record = {"prompt": "a", "completion": "b", "response": None, "system": "s"}
    assert parse("prompt_completion", record).messages == [Message("system", "s"), user("a"), answer("b")]


def test_prompt_completion_of_messages_trains_the_completion() -> None:
    record = {
        "prompt": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "assistant", "content": "", "train": False},
            {"role": "assistant", "content": "c", "train": True},
            {"role": "user", "content": "d"},
        ],
        "completion": [{"role": "assistant", "content": "e"}, {"role": "tool", "content": "f"}],
        "tools": [{"type": "function"}],
    }
    messages = [
        user("a"),
        answer("b", trained=False),
        answer("", trained=False),
        answer("c", trained=True),
        user("d"),
        answer("e"),
        Message("tool", "f"),
    ]
    assert parse("prompt_completion", record) == Conversation(messages, tools=[{"type": "function"}])


# --- messages and sharegpt


def test_messages() -> None:
    record = {
        "messages": [
            {"role": "system", "content": ""},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": " b \n", "reasoning_content": "hm"},
            {"role": "assistant", "content": "c", "name": "Bo"},
            {"role": "tool", "content": "", "tool_call_id": "1", "name": None},
        ],
        "tools": '[{"type": "function"}]',
    }
    messages = [
        Message("system", ""),
        user("a"),
        answer(" b \n", reasoning_content="hm"),
        answer("c", name="Bo"),
        Message("tool", "", tool_call_id="1"),
    ]
    assert parse("messages", record) == Conversation(messages, tools=[{"type": "function"}])


@pytest.mark.parametrize("tools", [None, "", [], "[]"])
def test_no_tools(tools: Any) -> None:
    record = {"messages": [{"role": "assistant", "content": "a"}], "tools": tools}
    assert parse("messages", record) == Conversation([answer("a")])


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": " b"}]
    record = {"messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": parts}]}
    assert parse("messages", record).messages == [user("a b"), answer("a b")]


@pytest.mark.parametrize("content", [{"content": None}, {"content": ""}, {}, {"content": "so:"}])
@pytest.mark.parametrize("arguments", [{"x": 1, "y": None}, '{"x": 1, "y": null}'])
def test_tool_calls(content: dict[str, Any], arguments: Any) -> None:
    calls = [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}},
        {"function": {"name": "g", "arguments": {}}},
    ]
    expected = [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": {"x": 1, "y": None}}},
        {"type": "function", "function": {"name": "g", "arguments": {}}},
    ]
    record = {"messages": [{"role": "assistant", **content, "tool_calls": calls}]}
    assert parse("messages", record).messages == [answer(content.get("content") or "", tool_calls=expected)]


@pytest.mark.parametrize("calls", [None, []])
def test_no_tool_calls(calls: Any) -> None:
    record = {"messages": [{"role": "assistant", "content": "a", "tool_calls": calls}]}
    assert parse("messages", record).messages == [answer("a")]


@pytest.mark.parametrize(("name", "role"), ROLES.items())
@pytest.mark.parametrize(("record_format", "items", "role_key", "key"), [
    ("messages", "messages", "role", "content"),
    ("sharegpt", "conversations", "from", "value"),
])  # fmt: skip
def test_role_aliases(record_format: str, items: str, role_key: str, key: str, name: str, role: Any) -> None:
    turns = [{role_key: name, key: "a"}, {role_key: "assistant", key: "b"}]
    assert parse(record_format, {items: turns}).messages == [Message(role, "a"), answer("b")]


def test_sharegpt() -> None:
    call = {"name": "f", "arguments": {"x": 1}}
    record = {
        "system": "s",
        "conversations": [
            {"from": "human", "value": "a"},
            {"from": "function_call", "value": json.dumps(call)},
            {"from": "observation", "value": "1"},
            {
                "from": "function_call",
                "value": json.dumps([call, {**call, "arguments": '{"y": 2}'}]),
                "loss": 0,
            },
            {"from": "gpt", "value": "b"},
        ],
        "tools": '[{"name": "f"}]',
    }
    first = {"type": "function", "function": call}
    second = {"type": "function", "function": {"name": "f", "arguments": {"y": 2}}}
    messages = [
        Message("system", "s"),
        user("a"),
        answer("", tool_calls=[first]),
        Message("tool", "1"),
        answer("", tool_calls=[first, second], trained=False),
        answer("b"),
    ]
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert parse("sharegpt", record) == Conversation(messages, tools=tools)


BARE = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
WRAPPED = {"type": "function", "function": BARE}


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("tools", "found"),
    [
        ([BARE], [WRAPPED]),
        ([WRAPPED], [WRAPPED]),
        ([WRAPPED, {"name": "g"}, BARE], [WRAPPED, {"type": "function", "function": {"name": "g"}}, WRAPPED]),
        # What is not the bare function that ShareGPT gives is left to the template.
        ([{"function": BARE}], [{"function": BARE}]),
        ([{"type": "web_search", "name": "w"}], [{"type": "web_search", "name": "w"}]),
        ([{"title": "f"}], [{"title": "f"}]),
    ],
)
def test_bare_tools_are_wrapped_as_templates_expect_them(tools: Any, found: Any, as_text: bool) -> None:
    given = json.dumps(tools) if as_text else tools
    sharegpt = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
    messages = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    expected = Conversation([user("a"), answer("b")], tools=found)
    assert parse("sharegpt", {**sharegpt, "tools": given}) == expected
    assert parse("messages", {**messages, "tools": given}) == expected


def test_turns_under_other_names() -> None:
    record = {"chat": [{"who": "human", "said": "a", "role": "x"}, {"who": "bot", "said": "b", "train": 1}]}
    names = {"messages": "chat", "role": "who", "content": "said"}
    assert parse("messages", record, names).messages == [user("a"), answer("b", trained=True)]
    record = {"conversations": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    names = {"from": "role", "value": "content"}
    assert parse("sharegpt", record, names).messages == [user("a"), answer("b")]


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("value", [0, 0.0, False, 1, 1.0, True, None])
def test_flags(name: str, value: Any) -> None:
    trained = None if value is None else bool(value)
    turns = [
        {"role": "user", "content": "a", name: value},
        {"role": "assistant", "content": "b", name: value},
    ]
    expected = [user("a", trained=trained), answer("b", trained=trained)]
    assert parse("messages", {"messages": turns}).messages == expected


def test_flags_that_agree() -> None:
    turns = [{"role": "assistant", "content": "b", "train": True, "weight": 1, "loss": None}]
    assert parse("messages", {"messages": turns}).messages == [answer("b", trained=True)]


def test_an_untrained_answer_may_be_empty() -> None:
    turns = [{"role": "assistant", "content": "", "weight": 0}, {"role": "assistant", "content": "b"}]
    assert parse("messages", {"messages": turns}).messages == [answer("", trained=False), answer("b")]


def test_two_assistant_turns_in_a_row() -> None:
    turns = [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert parse("messages", {"messages": turns}).messages == [answer("a"), answer("b")]


def test_a_template_error_is_not_parses_business() -> None:
    turns = [
        {"role": "user", "content": "a"},
        {"role": "system", "content": "s"},
        {"role": "assistant", "content": "b"},
    ]
    assert [message.role for message in parse("messages", {"messages": turns}).messages] == [
        "user", "system", "assistant",
    ]  # fmt: skip


# --- segments, text, fields


def test_segments() -> None:
    record = {
        "segments": [
            {"text": "<s>", "label": False},
            {"text": "a", "label": True},
            {"text": "", "label": False},
        ]
    }
    expected = [Segment("<s>", False), Segment("a", True), Segment("", False)]
    assert parse("segments", record) == Conversation(segments=expected)


def test_text() -> None:
    assert parse("text", {"text": " a\n", "id": 1}) == Conversation(segments=[Segment(" a\n", True)])


def test_fields() -> None:
    record = {"question": "a", "answer": "b", "hint": None, "n": 1}
    assert parse("fields", record, None, (("question", "answer"), ("hint",))) == Conversation(fields=record)
    assert parse("fields", record, {"output": "answer"}, (("question", "output"), ())) == Conversation(
        fields={"question": "a", "hint": None, "n": 1, "output": "b"}
    )


# --- what is wrong


ROLE_NAMES = (
    "system, user, human, assistant, gpt, bot, model, tool, observation, function_response, function_call"
)
CASES = Path(__file__).with_name("bad_records.txt").read_text().split("\n", 2)[2].splitlines()


@pytest.mark.parametrize(("case", "expected"), [*zip(CASES[::2], CASES[1::2], strict=True)])
def test_bad_records(case: str, expected: str) -> None:
    record_format, text = case.split(" ", 1)
    record = decode_line(text.encode())
    assert record is not None
    with pytest.raises(RecordError) as caught:
        make_parser(record_format, {})(record)
    error = caught.value
    assert f"    {column_of(text.encode(), error.path)} {error.code}: {error.message}" == expected


WORDS = """instruction input output system history prompt completion response messages conversations
segments text label role content from value tools tool_calls function name arguments type train weight"""
KEYS = st.sampled_from(WORDS.split())
TEXTS = st.sampled_from(
    ["", " ", "a", "user", "gpt", "function_call", "{}", '{"name": "f", "arguments": {}}']
)
LEAVES = TEXTS | st.none() | st.booleans() | st.sampled_from([0, 1, 0.5, "text"])
TURNS = st.fixed_dictionaries(
    dict.fromkeys(("role", "content", "from", "value", "text"), TEXTS),
    optional=dict.fromkeys(("train", "weight", "label", "name", "tool_calls"), LEAVES),
)
VALUES = st.lists(TURNS, max_size=3) | st.recursive(
    LEAVES,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(KEYS, parts, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5), st.sampled_from(sorted(FORMATS)), st.booleans())
def test_any_object_is_a_conversation_or_a_record_error(
    record: dict[str, Any], record_format: str, renamed: bool
) -> None:
    raw = json.dumps(record).encode()
    names = {"role": "from", "output": "response", "messages": "conversations"} if renamed else {}
    try:
        conversation = parse(record_format, record, names, (("prompt",), ("input",)))
    except RecordError as error:
        assert error.path == () or column_of(raw, error.path) > 1  # noqa: PT017
    else:
        assert all(type(message.content) is str for message in conversation.messages)


def test_messages_speak_of_the_datas_own_names() -> None:
    names = {"messages": "chat", "role": "who", "content": "said", "output": "answer", "instruction": "q"}
    assert failure("messages", {"chat": [{"who": "x", "said": "a"}]}, names) == (
        "unknown_role",
        ("chat", 0, "who"),
        f"chat[0].who: unknown role 'x'; known: {ROLE_NAMES}",
    )
    assert failure("alpaca", {"q": "a", "input": ""}, names) == (
        "missing_field",
        (),
        "field 'answer' is missing; the fields there are 'input', 'q'",
    )
    assert failure("alpaca", {"q": "a", "answer": 1}, names)[:2] == ("wrong_type", ("answer",))


FIELDS = (("question", "answer"), ("hint",))


@pytest.mark.parametrize(
    ("record", "code", "path", "message"),
    [
        (
            {"question": "a"},
            "missing_field",
            (),
            "field 'answer' is missing; the fields there are 'question'",
        ),
        ({"question": "a", "answer": None}, "wrong_type", ("answer",), "answer: expected text, found null"),
        (
            {"question": 1, "answer": "b"},
            "wrong_type",
            ("question",),
            "question: expected text, found a number",
        ),
        (
            {"question": "a", "answer": "b", "hint": 1},
            "wrong_type",
            ("hint",),
            "hint: expected text, found a number",
        ),
    ],
)
def test_fields_that_the_template_needs(record: Any, code: str, path: tuple[str], message: str) -> None:
    assert failure("fields", record, None, FIELDS) == (code, path, message)


def test_a_path_leads_to_the_column() -> None:
    raw = '{"messages": [{"role": "user", "content": "é"}, {"role": "wizard", "content": "b"}]}'.encode()
    record = decode_line(raw)
    assert record is not None
    with pytest.raises(RecordError) as caught:
        make_parser("messages", {})(record)
    column = column_of(raw, caught.value.path)
    assert raw.decode()[column - 1 :].startswith('"wizard"')


def test_an_unknown_format() -> None:
    with pytest.raises(
        UsageError, match="unknown record format 'auto'; known: alpaca, prompt_completion, messages"
    ):
        make_parser("auto", {})


# --- detection


@pytest.mark.parametrize(
    ("keys", "names", "prompt_fields", "expected"),
    [
        ("messages tools", {}, (), "messages"),
        ("conversations system", {}, (), "sharegpt"),
        ("segments", {}, (), "segments"),
        ("instruction output", {}, (), "alpaca"),
        ("instruction input output text", {}, (), "alpaca"),
        ("prompt completion", {}, (), "prompt_completion"),
        ("prompt response", {}, (), "prompt_completion"),
        ("text id", {}, (), "text"),
        ("messages prompt completion", {}, (), "messages"),
        ("dialog", {"messages": "dialog"}, (), "messages"),
        ("question answer", {"instruction": "question", "output": "answer"}, (), "alpaca"),
        ("question answer", {"prompt": "question", "completion": "answer"}, (), "prompt_completion"),
        ("question answer", {}, ("question", "answer"), "fields"),
        ("question answer text", {}, ("question", "answer"), "fields"),
        ("question answer messages", {}, ("question", "answer"), "fields"),
        ("question reply", {"answer": "reply"}, ("question", "answer"), "fields"),
        ("instruction output topic", {}, ("instruction", "output", "topic"), "alpaca"),
        ("prompt completion topic", {}, ("prompt", "completion"), "prompt_completion"),
        ("instruction response", {}, ("instruction", "response"), "fields"),
        ("messages", {}, ("instruction", "output"), "messages"),
        ("text", {}, ("text",), "fields"),
    ],
)
def test_detection(keys: str, names: dict[str, str], prompt_fields: tuple[str, ...], expected: str) -> None:
    record = dict.fromkeys(keys.split(), "x")
    assert detect_format([record], names, prompt_fields) == expected
    assert detect_format([{"odd": 1}, record], names, prompt_fields) == expected


WAYS_OUT = (
    "known are alpaca, prompt_completion, messages, sharegpt, segments, text, fields. Name the format with "
    "--record-format, or the fields with --field NAME=KEY (such as --field output=answer)"
)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"a": 1, "b": 2}, {"c": 3}], f"no known record format: the fields there are 'a', 'b'; {WAYS_OUT}"),
        ([], f"no known record format: there is no record to look at; {WAYS_OUT}"),
    ],
)
def test_nothing_fits(records: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        detect_format(records, {})
    assert (caught.value.code, caught.value.message) == ("unknown_format", message)
