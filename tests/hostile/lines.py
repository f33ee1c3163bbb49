r"""Whole lines that are bad records: a name, the line, the column and code of the error, part of its message.

Each is the second line of a file of three; the record format is `--record-format`'s, as named.
"""

CHAT = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]'

# A good line of each format.
GOOD = {
    "text": b'{"text": "a"}',
    "alpaca": b'{"instruction": "a", "output": "b"}',
    "messages": CHAT + b"}",
    "sharegpt": b'{"conversations": [{"from": "gpt", "value": "b"}]}',
    "segments": b'{"segments": [{"text": "a", "label": true}]}',
}


def nested(depth: int) -> bytes:
    """A record that is `depth` lists and objects deep."""
    return b'{"text": "a", "v": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


Line = tuple[str, str, bytes, int, str, str]

LINES: list[Line] = [
    # One line is one object, whole.
    ("two objects", "text", b'{"text": "a"}{"text": "b"}', 14, "extra_data", "one record per line"),
    ("two with a space", "text", b'{"text": "a"} {"text": "b"}', 15, "extra_data", "one record per line"),
    ("two with a comma", "text", b'{"text": "a"},', 14, "trailing_comma", "a comma after the record"),
    ("a brace too many", "text", b'{"text": "a"}}', 14, "extra_data", "one record per line"),
    ("a brace too few", "text", b'{"text": "a"', 13, "cut_short", "cut short, or one record spans"),
    ("cut in a string", "text", b'{"text": "a', 10, "cut_short", "cut short or broken in two"),
    ("cut in an escape", "text", b'{"text": "a\\', 10, "cut_short", "cut short or broken in two"),
    ("cut in \\u", "text", b'{"text": "a\\u00', 12, "cut_short", "cut short or broken in two"),
    ("cut after a colon", "text", b'{"text":', 9, "cut_short", "expected a value; the line ends here"),
    ("cut after a comma", "text", b'{"text": "a",', 14, "cut_short", "the line ends here"),
    ("cut in a key", "text", b'{"text": "a", "te', 15, "cut_short", "this string has no end"),
    ("cut in a literal", "text", b'{"text": "a", "v": tr', 20, "json", "expected a value"),
    ("cut in a character", "text", '{"text": "é'.encode()[:-1], 11, "utf8", "byte 0xc3 is not UTF-8"),
    ("its second half", "text", b'ext": "a"}', 1, "json", "expected a value"),
    ("a comma before", "text", b',{"text": "a"}', 1, "json", "expected a value"),
    ("NUL bytes", "text", b"\0\0\0\0", 1, "json", "expected a value"),
    ("NUL after", "text", b'{"text": "a"}\0', 14, "extra_data", "more text after the end"),
    ("a control-Z after", "text", b'{"text": "a"}\x1a', 14, "extra_data", "more text after the end"),
    ("a sequence number", "text", b'\x1e{"text": "a"}', 1, "json", "expected a value"),
    ("CSV", "text", b"instruction,output", 1, "json", "expected a value"),
    ("YAML", "text", b"text: a", 1, "json", "expected a value"),
    ("a Python dict", "text", b"{'text': 'a'}", 2, "python_notation", "write records with json.dumps"),
    ("a merge mark", "text", b"<<<<<<< HEAD", 1, "merge_conflict", "resolve the conflict"),
    ("a log line", "text", b"WARNING: retrying", 1, "json", "expected a value"),
    ("null", "text", b"null", 1, "not_object", "expected an object {...}, found null"),
    ("true", "text", b" true", 2, "not_object", "found true or false"),
    ("a number", "text", b"12", 1, "not_object", "found a number"),
    ("text", "text", b'"text"', 1, "not_object", "found text"),
    ("a list", "text", b'[{"text": "a"}]', 1, "not_object", "found a list"),
    ("a BOM in the file", "text", b'\xef\xbb\xbf{"text": "a"}', 1, "bom_inside", "files were joined"),
    ("a BOM in the line", "text", b'{"text":\xef\xbb\xbf "a"}', 9, "bom_inside", "inside the line"),
    ("a BOM at its end", "text", b'{"text": "a"}\xef\xbb\xbf', 14, "bom_inside", "inside the line"),
    # The first fault is the one that is reported.
    ("NaN, then a fault", "text", b'{"v": NaN, "w": x}', 7, "not_json_constant", "NaN is not JSON"),
    ("a fault, then NaN", "text", b'{"v": x, "w": NaN}', 7, "json", "expected a value"),
    ("overflow, then half", "text", b'{"v": 1e999, "w": "\\ud800"}', 7, "number_out_of_range", "too large"),
    ("half, then overflow", "text", b'{"v": "\\ud800", "w": 1e999}', 8, "lone_surrogate", "half a surrogate"),
    ("NaN only in text", "text", b'{"v": "NaN, 1e999", "w": NaN}', 26, "not_json_constant", "NaN is not"),
    # Columns are code points, and not bytes, UTF-16 units or cells of a terminal.
    ("after é", "text", '{"é": x}'.encode(), 7, "json", "expected a value"),
    ("after 日本", "text", '{"日本": x}'.encode(), 8, "json", "expected a value"),
    ("after 😀", "text", '{"😀": x}'.encode(), 7, "json", "expected a value"),
    ("after e and an accent", "text", '{"e\u0301": x}'.encode(), 8, "json", "expected a value"),
    ("after a tab", "text", b'{\t"a": x}', 8, "json", "expected a value"),
    ("after a line separator", "text", '{"\u2028": x}'.encode(), 7, "json", "expected a value"),
    ("after a lone CR", "text", b'{\r"a": x}', 8, "json", "expected a value"),
    # Depth.
    ("129 deep", "text", nested(129), 147, "too_deep", "nested more than 128 deep"),
    ("1000 deep", "text", nested(1000), 147, "too_deep", "nested more than 128 deep"),
    ("100,000 deep", "text", nested(100_000), 147, "too_deep", "nested more than 128 deep"),
    ("100,000 lists open", "text", b"[" * 100_000, 129, "too_deep", "nested more than 128 deep"),
    ("100,000 objects open", "text", b'{"a":' * 100_000, 641, "too_deep", "nested more than 128 deep"),
    ("a fault before the depth", "text", b'{"v": x, "w": ' + b"[" * 999, 7, "json", "expected a value"),
    ("depth before a fault", "text", b"[" * 200 + b"x", 129, "too_deep", "nested more than 128 deep"),
    ("depth, mixed", "text", b'{"a":[' * 65 + b"]}" * 65, 385, "too_deep", "nested more than 128 deep"),
    # Keys that are read, twice.
    ("text twice", "text", b'{"text": "a", "text": "b"}', 15, "duplicate_key", "'text' is given twice"),
    ("text twice, equal", "text", b'{"text": "a", "text": "a"}', 15, "duplicate_key", "'text' is given"),
    ("text thrice", "text", b'{"text":"a","text":"b","text":"c"}', 13, "duplicate_key", "'text' is given"),
    ("a space before", "text", b'{"text" : "a", "text": "b"}', 16, "duplicate_key", "'text' is given"),
    ("spaces before both", "text", b'{"text"\t :"a","text" \r: "b"}', 15, "duplicate_key", "'text' is"),
    ("one in escapes", "text", b'{"text": "a", "\\u0074ext": "b"}', 15, "duplicate_key", "'text' is given"),
    ("among prose", "text", b'{"text": "a : \\": b", "text": ":"}', 23, "duplicate_key", "'text' is given"),
    ("a null one", "text", b'{"text": null, "text": "a"}', 16, "duplicate_key", "'text' is given twice"),
    (
        "output twice",
        "alpaca",
        b'{"instruction": "a", "output": "b", "output": "c"}',
        37,
        "duplicate_key",
        "'output' is given twice; remove one of the two",
    ),
    (
        "messages twice",
        "messages",
        CHAT + b', "messages": []}',
        89,
        "duplicate_key",
        "'messages' is given twice",
    ),
    (
        "role twice",
        "messages",
        b'{"messages": [{"role": "user", "role": "assistant", "content": "b"}]}',
        32,
        "duplicate_key",
        "messages[0]: 'role' is given twice",
    ),
    (
        "content twice in the second turn",
        "messages",
        '{"messages": [{"role": "user", "content": "é"}, {"role": "assistant", "content": "b", '
        '"content": "c"}]}'.encode(),
        87,
        "duplicate_key",
        "messages[1]: 'content' is given twice",
    ),
    (
        "value twice",
        "sharegpt",
        b'{"conversations": [{"from": "gpt", "value": "b", "value": "c"}]}',
        50,
        "duplicate_key",
        "conversations[0]: 'value' is given twice",
    ),
    (
        "label twice",
        "segments",
        b'{"segments": [{"text": "a", "label": true, "label": false}]}',
        44,
        "duplicate_key",
        "segments[0]: 'label' is given twice",
    ),
    (
        "a flag twice",
        "messages",
        b'{"messages": [{"role": "assistant", "content": "b", "weight": 0, "weight": 1}]}',
        66,
        "duplicate_key",
        "messages[0]: 'weight' is given twice",
    ),
    (
        "arguments of a tool call",
        "messages",
        b'{"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": '
        b'{"x": 1, "x": 2}}}]}]}',
        101,
        "duplicate_key",
        "messages[0].tool_calls[0].function.arguments: 'x' is given twice",
    ),
    (
        "arguments of a tool call, as text",
        "messages",
        b'{"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": '
        rb'"{\"x\": 1, \"x\": 2}"}}]}]}',
        92,
        "tool_arguments",
        "'x' is given twice",
    ),
    (
        "a tool's definition",
        "messages",
        CHAT + b', "tools": [{"type": "function", "function": {"name": "f", "name": "g"}}]}',
        146,
        "duplicate_key",
        "tools[0].function: 'name' is given twice",
    ),
]

# Lines that are fine, however odd they look.
FINE: list[tuple[str, str, bytes]] = [
    ("128 deep", "text", nested(128)),
    ("a key that is not read, twice", "text", b'{"text": "a", "id": 1, "id": 2}'),
    ("the same key in two objects", "text", b'{"text": "a", "v": {"text": 1}, "w": {"text": 2}}'),
    ("a key twice in what is not read", "text", b'{"text": "a", "v": {"text": 1, "text": 2}}'),
    ("keys that differ in case", "text", b'{"text": "a", "Text": "b", "TEXT": "c"}'),
    ("colons and quotes in prose", "text", rb'{"text": "he said \": and \" : and !: \\\":"}'),
    ("an answer like a record", "text", rb'{"text": "{\"text\": \"a\", \"text\": \"b\"}"}'),
    ("a key that ends in a backslash", "text", rb'{"text": "a", "v\\": 1, "w\\\"": 2}'),
    ("no spaces", "text", b'{"text":"a","v":{"a":[],"b":{}}}'),
    ("many spaces", "text", b' { "text" : "a" , "v" : [ 1 , 2 ] } '),
    ("a CR at the end", "text", b'{"text": "a"}\r'),
    ("200 lists side by side", "text", b'{"text": "a", "v": [' + b"[]," * 199 + b"[]]}"),
    ("brackets in text", "text", b'{"text": "' + b"[{" * 200 + b'"}'),
    ("a role that two turns have", "messages", CHAT + b"}"),
    ("an id twice", "messages", CHAT + b', "id": 1, "id": 1}'),
]
