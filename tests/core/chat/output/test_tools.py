"""Tools of requests: what is wrong with them is named by its place."""

from __future__ import annotations

from typing import Any

import pytest

from llamakit.core.chat.output.tools import (
    AUTO,
    Tool,
    ToolChoice,
    ToolError,
    ToolUse,
    parse_functions,
    parse_tool_choice,
    parse_tools,
)

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TIME = {"type": "function", "function": {"name": "get_time", "description": "now", "parameters": SCHEMA}}


def test_tools_are_read_and_written_as_openai_has_them() -> None:
    assert parse_tools([TIME]) == (Tool("get_time", "now", SCHEMA),)
    assert [tool.as_json() for tool in parse_tools([TIME])] == [TIME]
    assert parse_tools(None) == parse_tools([]) == ()
    (bare,) = parse_tools([{"function": {"name": "a.b-c_1", "strict": True}}])
    assert bare == Tool("a.b-c_1") and bare.parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    "value, message",
    [
        ("x", "tools: must be a list of tools, not a string"),
        ([1], r"tools\[0\]: must be an object, not a number"),
        ([TIME, {"type": "web"}], r'tools\[1\]\.type: must be "function", not "web"'),
        ([{"type": "function"}], r"tools\[0\]\.function: must be an object, not null"),
        ([{"function": {"name": 3}}], r"tools\[0\]\.function\.name: must be a string, not a number"),
        ([{"function": {"name": "a b"}}], r"tools\[0\]\.function\.name: 1 to 128 letters"),
        ([{"function": {"name": ""}}], r"tools\[0\]\.function\.name: 1 to 128 letters"),
        ([{"function": {"name": "<tool_call>" * 99}}], r"\.name: .*\.\.\.$"),
        ([{"function": {"name": "a", "description": []}}], r"\.description: must be a string, not a list"),
        ([{"function": {"name": "a", "parameters": "{}"}}], r"\.parameters: must be a JSON schema object, not a str"),
        ([{"function": {"name": "a", "parameters": {"type": "array"}}}], r'\.type: must be "object", not "array"'),
        ([TIME, TIME], r"tools\[1\]\.function\.name: there is another tool 'get_time'"),
    ],
)  # fmt: skip
def test_wrong_tools_are_refused_with_their_place(value: Any, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        parse_tools(value)


@pytest.mark.parametrize(
    "value, choice",
    [
        (None, AUTO),
        ("auto", AUTO),
        ("none", ToolChoice(ToolUse.NONE)),
        ("required", ToolChoice(ToolUse.REQUIRED)),
        ({"type": "function", "function": {"name": "get_time"}}, ToolChoice(ToolUse.REQUIRED, "get_time")),
    ],
)
def test_a_choice_is_read(value: Any, choice: ToolChoice) -> None:
    assert parse_tool_choice(value, parse_tools([TIME])) == choice


@pytest.mark.parametrize(
    "value, message",
    [
        ("all", 'tool_choice: must be one of auto, none, required or name a function, not "all"'),
        (7, "tool_choice: must be a string or an object, not a number"),
        ({}, r"tool_choice\.function\.name: must be a string, not null"),
        ({"function": {"name": "x"}}, r'tool_choice\.function\.name: there is no tool "x"; the tools are: get_time'),
    ],
)
def test_a_wrong_choice_is_refused_with_its_place(value: Any, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        parse_tool_choice(value, parse_tools([TIME]))


def test_a_call_cannot_be_required_without_tools() -> None:
    with pytest.raises(ToolError, match="a call is required, but there are no tools"):
        parse_tool_choice("required", ())


def test_the_older_fields_mean_the_same() -> None:
    functions = [TIME["function"]]
    assert parse_functions(functions, None) == (parse_tools([TIME]), AUTO)
    assert parse_functions(functions, {"name": "get_time"})[1] == ToolChoice(ToolUse.REQUIRED, "get_time")
    assert parse_functions(None, "none") == ((), ToolChoice(ToolUse.NONE))


@pytest.mark.parametrize(
    "functions, call, message",
    [
        ({}, None, "functions: must be a list of functions, not an object"),
        ([{"name": 1}], None, r"functions\[0\]\.name: must be a string"),
        ([], "required", 'function_call: must be auto, none or name a function, not "required"'),
        ([], {"name": "x"}, r'function_call\.function\.name: there is no tool "x"; the tools are: none'),
    ],
)
def test_wrong_older_fields_are_refused_with_their_place(functions: Any, call: Any, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        parse_functions(functions, call)
