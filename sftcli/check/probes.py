"""The conversations that a template is tried with. Each brings one thing that some template minds."""

from typing import Any

from sftcli.conversation import Conversation, Message

QUESTION, ANSWER = "What is 2 + 2?", "2 + 2 = 4."
NEXT, LAST = "And the capital of France?", "Paris."
SYSTEM = "You are a helpful assistant."
THOUGHT = "Two and two make four."
LATER_THOUGHT = "That one is easy."
SPACED = "  Rome \n"
TOOL, RESULT = "get_weather", "20 degrees"
TOWNS = ("Oslo", "Lima")

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": TOOL,
            "description": "The weather in a town",
            "parameters": {
                "type": "object",
                "properties": {"town": {"type": "string", "description": "Its name"}},
                "required": ["town"],
            },
        },
    }
]


def _call(index: int) -> dict[str, Any]:
    function = {"name": TOOL, "arguments": {"town": TOWNS[index]}}
    return {"id": f"call_{index}", "type": "function", "function": function}


_system, _user, _says = Message("system", SYSTEM), Message("user", QUESTION), Message("assistant", ANSWER)
_next, _last = Message("user", NEXT), Message("assistant", LAST)
_calls = Message("assistant", "", tool_calls=[_call(0)])
_result = Message("tool", RESULT, tool_call_id="call_0", name=TOOL)
_reasons = Message("assistant", ANSWER, reasoning_content=THOUGHT)
_reasons_later = Message("assistant", LAST, reasoning_content=LATER_THOUGHT)


def _thinks(thought: str, answer: str) -> Message:
    return Message("assistant", f"<think>\n{thought}\n</think>\n\n{answer}")


PROBES: dict[str, Conversation] = {
    "plain": Conversation(messages=[_user, _says]),
    "turns": Conversation(messages=[_user, _says, _next, _last]),
    "system": Conversation(messages=[_system, _user, _says]),
    "whole": Conversation(messages=[_system, _user, _says, _next, _last]),
    "two answers": Conversation(messages=[_user, _says, _last]),
    "two questions": Conversation(messages=[_user, _next, _last]),
    "answer first": Conversation(messages=[_says, _next, _last]),
    "question last": Conversation(messages=[_user, _says, _next]),
    "spaces": Conversation(messages=[Message("user", SPACED), Message("assistant", SPACED)]),
    "tools": Conversation(messages=[_user, _says], tools=TOOLS),
    "call": Conversation(messages=[_user, _calls], tools=TOOLS),
    "calls": Conversation(
        messages=[_user, Message("assistant", "", tool_calls=[_call(0), _call(1)])], tools=TOOLS
    ),
    "result": Conversation(messages=[_user, _calls, _result, _last], tools=TOOLS),
    "reasoning": Conversation(messages=[_user, _reasons]),
    "reasonings": Conversation(messages=[_user, _reasons, _next, _reasons_later]),
    "think": Conversation(messages=[_user, _thinks(THOUGHT, ANSWER)]),
    "thinks": Conversation(messages=[_user, _thinks(THOUGHT, ANSWER), _next, _thinks(LATER_THOUGHT, LAST)]),
}
