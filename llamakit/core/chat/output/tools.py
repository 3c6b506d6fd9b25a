"""Tools as requests bring them, in OpenAI's shape, checked once: what is wrong is named by its place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from llamakit.errors import LlamakitError

NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")  # OpenAI allows 64, and no dot; MCP servers have longer ones, with dots


class ToolError(LlamakitError):
    """Tools or a choice among them that cannot be used; the message begins with the place in the request."""

    exit_code = 2


class ToolUse(Enum):
    """AUTO: the model decides; NONE: no calls; REQUIRED: at least one."""

    AUTO, NONE, REQUIRED = "auto", "none", "required"


@dataclass(frozen=True)
class ToolChoice:
    use: ToolUse = ToolUse.AUTO
    name: str | None = None  # exactly this tool, once

    @property
    def is_required(self) -> bool:
        return self.use is ToolUse.REQUIRED


AUTO = ToolChoice()


@dataclass(frozen=True)
class Tool:
    """A function that the model may call. `parameters` is the JSON schema of its arguments."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})

    def as_json(self) -> dict[str, Any]:
        """As templates want it."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}


def parse_tools(value: Any, place: str = "tools") -> tuple[Tool, ...]:
    """The tools of a request: a list of {"type": "function", "function": {name, description, parameters}}, or null."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ToolError(f"{place}: must be a list of tools, not {kind_of(value)}")
    tools = tuple(parse_tool(item, f"{place}[{i}]") for i, item in enumerate(value))
    for i, tool in enumerate(tools):
        if tool.name in {other.name for other in tools[:i]}:
            raise ToolError(f"{place}[{i}].function.name: there is another tool {tool.name!r}")
    return tools


def parse_functions(functions: Any, function_call: Any) -> tuple[tuple[Tool, ...], ToolChoice]:
    """The same in OpenAI's older fields: functions without "type", and `auto`, `none` or {"name": ...}."""
    if functions is not None and not isinstance(functions, list):
        raise ToolError(f"functions: must be a list of functions, not {kind_of(functions)}")
    tools = tuple(parse_function(item, f"functions[{i}]") for i, item in enumerate(functions or ()))
    if isinstance(function_call, dict):
        function_call = {"function": function_call}
    elif function_call not in (None, "auto", "none"):
        raise ToolError(f"function_call: must be auto, none or name a function, not {shown(function_call)}")
    return tools, parse_tool_choice(function_call, tools, "function_call")


def parse_tool(value: Any, place: str) -> Tool:
    if not isinstance(value, dict):
        raise ToolError(f"{place}: must be an object, not {kind_of(value)}")
    if value.get("type", "function") != "function":
        raise ToolError(f'{place}.type: must be "function", not {shown(value["type"])}')
    return parse_function(value.get("function"), f"{place}.function")


def parse_function(function: Any, place: str) -> Tool:
    if not isinstance(function, dict):
        raise ToolError(f"{place}: must be an object, not {kind_of(function)}")
    name = function.get("name")
    if not isinstance(name, str):
        raise ToolError(f"{place}.name: must be a string, not {kind_of(name)}")
    if not NAME.fullmatch(name):
        raise ToolError(f"{place}.name: 1 to 128 letters, digits, '_', '-' and '.', not {shown(name)}")
    description = function.get("description")
    if not isinstance(description, str | None):
        raise ToolError(f"{place}.description: must be a string, not {kind_of(description)}")
    parameters = function.get("parameters")
    if parameters is None:
        return Tool(name, description or "")
    if not isinstance(parameters, dict):
        raise ToolError(f"{place}.parameters: must be a JSON schema object, not {kind_of(parameters)}")
    if parameters.get("type", "object") != "object":
        raise ToolError(f'{place}.parameters.type: must be "object", not {shown(parameters["type"])}')
    return Tool(name, description or "", parameters or Tool(name).parameters)


def parse_tool_choice(value: Any, tools: tuple[Tool, ...], place: str = "tool_choice") -> ToolChoice:
    """`auto`, `none`, `required`, null, or {"type": "function", "function": {"name": ...}}."""
    if value is None:
        return AUTO
    if isinstance(value, str):
        uses = [use.value for use in ToolUse]
        if value not in uses:
            raise ToolError(f"{place}: must be one of {', '.join(uses)} or name a function, not {shown(value)}")
        choice = ToolChoice(ToolUse(value))
    elif isinstance(value, dict):
        function = value.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(name, str):
            raise ToolError(f"{place}.function.name: must be a string, not {kind_of(name)}")
        if name not in {tool.name for tool in tools}:
            known = ", ".join(tool.name for tool in tools) or "none"
            raise ToolError(f"{place}.function.name: there is no tool {shown(name)}; the tools are: {known}")
        choice = ToolChoice(ToolUse.REQUIRED, name)
    else:
        raise ToolError(f"{place}: must be a string or an object, not {kind_of(value)}")
    if choice.is_required and not tools:
        raise ToolError(f"{place}: a call is required, but there are no tools")
    return choice


def kind_of(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
