"""Conversations made to be nasty: each is here because some tool gets its mask or its text wrong."""

from typing import Any

from sftcli.conversation import Conversation, Message

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a town",
            "parameters": {
                "type": "object",
                "properties": {
                    "town": {"type": "string", "description": "Its name"},
                    "unit": {"type": "string", "enum": ["C", "F"]},
                },
                "required": ["town"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "search.web",
            "description": "Search <|im_end|> the web",
            "parameters": {
                "type": "object",
                "properties": {"query": {"type": "string"}, "top": {"type": "integer"}},
                "required": [],
            },
        },
    },
]


def _user(text: str) -> Message:
    return Message("user", text)


def _says(text: str, **more: Any) -> Message:
    return Message("assistant", text, **more)


def _system(text: str) -> Message:
    return Message("system", text)


def _calls(*calls: tuple[str, dict[str, Any]], text: str = "", **more: Any) -> Message:
    laid = [
        {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for index, (name, arguments) in enumerate(calls)
    ]
    return Message("assistant", text, tool_calls=laid, **more)


def _result(text: str, call: int = 0) -> Message:
    return Message("tool", text, tool_call_id=f"call_{call}")


WEATHER = ("get_weather", {"town": "Paris", "unit": "C"})
MARKERS = (
    "<|im_end|>\n<|im_start|>assistant\nX<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nY"
    "<end_of_turn>\n<start_of_turn>model\nZ<｜Assistant｜><|end|><|return|></s>[INST] W [/INST]<turn|>"
)
THINK = "<think>\nI see\n</think>\n\n"

CONVERSATIONS: dict[str, list[Message]] = {
    "one turn": [_user("hello"), _says("good day")],
    "two turns": [_user("hello"), _says("good day"), _user("x"), _says("Paris")],
    "five turns": [m for n in range(5) for m in (_user(f"question {n}"), _says(f"answer {n}"))],
    "forty turns": [m for n in range(40) for m in (_user(f"q{n}"), _says(f"a{n}"))],
    "system": [_system("Be brief."), _user("hello"), _says("Hi.")],
    "system, two turns": [_system("Be brief."), _user("a"), _says("b"), _user("c"), _says("d")],
    "empty system": [_system(""), _user("hello"), _says("Hi.")],
    "system later": [_user("hello"), _says("Hi."), _system("Be brief."), _user("x"), _says("y")],
    "ends with user": [_user("hello"), _says("Hi."), _user("and?")],
    "starts with assistant": [_says("Welcome"), _user("hello"), _says("Hi.")],
    "system, then assistant": [_system("Greet."), _says("Welcome"), _user("hello"), _says("Hi.")],
    "assistant twice": [_user("hello"), _says("one"), _says("two")],
    "assistant twice, later": [_user("hello"), _says("one"), _says("two"), _user("x"), _says("three")],
    "user twice": [_user("hello"), _user("again"), _says("Hi.")],
    "white space around": [_user("  hello \n"), _says("  Paris \n"), _user("\tx"), _says("\n\ny\n\n")],
    "white space in front": [_user("hello"), _says("\n Paris")],
    "white space only": [_user("hello"), _says(" \n "), _user("x"), _says("y")],
    "empty answer": [_user("hello"), _says(""), _user("x"), _says("y")],
    "empty last answer": [_user("hello"), _says("Hi."), _user("x"), _says("")],
    "empty user": [_user(""), _says("Hi.")],
    "same text everywhere": [_user("same"), _says("same"), _user("same"), _says("same")],
    "one letter": [_user("a"), _says("a"), _user("assistant"), _says("user")],
    "role words": [_user("user\nassistant\nmodel"), _says("assistant\n"), _user("system"), _says("user\n\n")],
    "markers in user": [_user(MARKERS), _says("no")],
    "markers in assistant": [_user("say it"), _says(MARKERS), _user("more"), _says("x" + MARKERS)],
    "markers in system": [_system(MARKERS), _user("hello"), _says("Hi.")],
    "half markers": [_user("<|im_"), _says("start|>"), _user("<|"), _says("|>")],
    "jinja in text": [_user("{{ messages }} {% if x %}"), _says("{# no #} {{ '%s' % 1 }} {0} {x}")],
    "emoji": [_user("😀👩‍🚀"), _says("🇫🇷é̂")],
    "CJK": [_user("你好，世界"), _says("こんにちは。안녕")],
    "right to left": [_user("שלום עולם"), _says("مرحبا \u200fabc\u202e def")],
    "odd characters": [
        _user("a\u0000b\u2028c\x85d\x1ce"),
        _says("\ufeffx\u00a0y\u3000"),
        _user("İß"),
        _says("ǅΣ"),
    ],
    "private use": [_user("\ue000\uf8ff"), _says("\U000f0041\U0010fffd")],
    "very long": [_user("word " * 20_000), _says("long " * 20_000), _user("x"), _says("y")],
    "many lines": [_user("a\n" * 300), _says("\n".join(f"{n}." for n in range(300)))],
    "code": [_user("write C"), _says("```c\nint main(){return a<b&&c>d;}\n```\n'\"\\")],
    "thinks at the end": [_user("hello"), _says(THINK + "Paris")],
    "thinks in both": [
        _user("hello"),
        _says(THINK + "day"),
        _user("x"),
        _says("<think>\nthink\n</think>\n\nParis"),
    ],
    "thinks in the first": [_user("hello"), _says(THINK + "day"), _user("x"), _says("Paris")],
    "thinks nothing": [_user("hello"), _says("<think>\n\n</think>\n\nParis")],
    "thinks without end": [_user("hello"), _says("<think>\nI see")],
    "thinks twice": [_user("hello"), _says(THINK + "a" + THINK + "b")],
    "user thinks": [_user(THINK + "x"), _says("y"), _user("</think>"), _says("z")],
    "reasoning": [_user("hello"), _says("Paris", reasoning_content="I see")],
    "reasoning in both": [
        _user("hello"),
        _says("day", reasoning_content="first"),
        _user("x"),
        _says("Paris", reasoning_content="  second \n"),
    ],
    "reasoning equals answer": [_user("Paris"), _says("Paris", reasoning_content="Paris")],
    "reasoning alone": [_user("hello"), _says("", reasoning_content="I see")],
    "tool call": [_user("weather?"), _calls(WEATHER), _result("21 C"), _says("21 degrees.")],
    "tool call at the end": [_user("weather?"), _calls(WEATHER)],
    "tool call with text": [
        _user("weather?"),
        _calls(WEATHER, text="Let me look."),
        _result("21 C"),
        _says("It is 21."),
    ],
    "tool call with reasoning": [
        _user("weather?"),
        _calls(WEATHER, reasoning_content="Look it up"),
        _result("21 C"),
        _says("It is 21.", reasoning_content="Now I know"),
    ],
    "parallel tool calls": [
        _user("weather?"),
        _calls(WEATHER, ("get_weather", {"town": "Rome"})),
        _result("21"),
        _result("25", 1),
        _says("21 and 25."),
    ],
    "tool calls in a row": [
        _user("weather?"),
        _calls(WEATHER),
        _result("21"),
        _calls(("search.web", {"query": "Rome", "top": 3})),
        _result('{"x": [1, null]}'),
        _says("Done."),
        _user("thanks"),
        _says("Welcome."),
    ],
    "tool arguments of all kinds": [
        _user("x"),
        _calls(("f", {"n": 1, "r": 1.5, "b": True, "none": None, "l": [1, "a"], "o": {"k": "v"}, "e": ""})),
        _result("ok"),
        _says("y"),
    ],
    "tool without arguments": [_user("x"), _calls(("f", {})), _result("ok"), _says("y")],
    "tool speaks in markers": [_user("x"), _calls(("f", {"a": MARKERS})), _result(MARKERS), _says("y")],
    "tool result looks like a call": [
        _user("x"),
        _calls(WEATHER),
        _result('<tool_call>\n{"name": "get_weather"}\n</tool_call>'),
        _says("y"),
    ],
    "tool result empty": [_user("x"), _calls(WEATHER), _result(""), _says("y")],
}

# These bring tools along; `tools` of the others is absent.
WITH_TOOLS = (*(name for name in CONVERSATIONS if "tool" in name), "system", "two turns")


def conversations() -> dict[str, Conversation]:
    """By name; those with tools a second time where they also make sense without."""
    laid = {name: Conversation(messages=messages) for name, messages in CONVERSATIONS.items()}
    for name in WITH_TOOLS:
        laid[f"{name} + tools"] = Conversation(messages=CONVERSATIONS[name], tools=TOOLS)
    return laid
