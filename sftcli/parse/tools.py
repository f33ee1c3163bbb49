"""Tool calls and tool definitions."""

from collections.abc import Mapping
from typing import Any

from sftcli.parse.failure import Names, Place, fail, missing, shown, text_of, type_name, wrong_type
from sftcli.parse.keys import decode_text


def tool_calls(message: Mapping[str, Any], place: Place, names: Names) -> list[dict[str, Any]] | None:
    """`tool_calls` in OpenAI's shape, the arguments as objects; None where there are none.

    Each call keeps its other keys (such as `id`), so that templates can lay them out.
    """
    calls = message.get("tool_calls")
    if calls is None:
        return None
    place = (*place, "tool_calls")
    if not isinstance(calls, list):
        raise wrong_type(calls, "a list of tool calls", place, names)
    return [_call(call, (*place, index), names) for index, call in enumerate(calls)] or None


def _call(call: object, place: Place, names: Names) -> dict[str, Any]:
    if not isinstance(call, dict):
        raise wrong_type(call, "a tool call {type, function}", place, names)
    if "function" not in call:
        raise missing(call, "function", place, names)
    function = _function(call["function"], (*place, "function"), names)
    return {"type": "function", **call, "function": function}


def _function(function: object, place: Place, names: Names) -> dict[str, Any]:
    if not isinstance(function, dict):
        raise wrong_type(function, "an object {name, arguments}", place, names)
    text_of(function, "name", place, names)
    if "arguments" not in function:
        raise missing(function, "arguments", place, names)
    arguments = function["arguments"]
    place = (*place, "arguments")
    if isinstance(arguments, str):
        arguments = _from_text(arguments, place, names)
    if not isinstance(arguments, dict):
        message = f"tool arguments: expected an object, found {type_name(arguments)}"
        raise fail("tool_arguments", message, place, names)
    return {**function, "arguments": arguments}


def _from_text(text: str, place: Place, names: Names) -> Any:
    try:
        return decode_text(text)
    except ValueError as problem:
        message = f"tool call: {shown(text)} is not JSON: {problem}"
        raise fail("tool_arguments", message, place, names) from None


def calls_in_text(text: str, place: Place, names: Names) -> list[dict[str, Any]]:
    """The calls of a ShareGPT `function_call` turn: JSON of {name, arguments}, or a list of such."""
    value = _from_text(text, place, names)
    functions = value if isinstance(value, list) else [value]
    if not functions:
        raise fail(
            "tool_arguments", "tool call: expected {name, arguments}, found an empty list", place, names
        )
    calls = []
    for function in functions:
        if not isinstance(function, dict) or not {"name", "arguments"} <= function.keys():
            message = f"tool call: expected {{name, arguments}}, found {shown(text)}"
            raise fail("tool_arguments", message, place, names)
        calls.append({"type": "function", "function": _function(function, place, names)})
    return calls


def tools_of(record: Mapping[str, Any], names: Names) -> list[dict[str, Any]] | None:
    """The record's tool definitions, a list or the JSON text of one; None where there are none."""
    tools = record.get("tools")
    if tools is None or tools == "":
        return None
    place: Place = ("tools",)
    if isinstance(tools, str):
        try:
            tools = decode_text(tools)
        except ValueError as problem:
            message = f"expected a list of tools as JSON: {problem}"
            raise fail("bad_tools", message, place, names) from None
    if not isinstance(tools, list):
        raise wrong_type(tools, "a list of tools", place, names)
    for index, tool in enumerate(tools):
        if not isinstance(tool, dict):
            raise wrong_type(tool, "a tool definition {type, function}", (*place, index), names)
    return [_tool(tool) for tool in tools] or None


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """ShareGPT sets give the bare function; templates expect it as OpenAI wraps it."""
    if "name" in tool and "function" not in tool and "type" not in tool:
        return {"type": "function", "function": tool}
    return tool
