"""A request of the Messages API: to a chat, and to llama-server's fields."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llamakit.core.chat.errors import MessageError
from llamakit.core.chat.message import Message, Part, ToolCall, a_list, a_text, an_object, described, optional
from llamakit.core.chat.output.tools import AUTO, Tool, ToolChoice, ToolUse, parse_function
from llamakit.core.chat.request import AnswerForm
from llamakit.server.generation import shapes
from llamakit.server.generation.chat import Chat
from llamakit.server.generation.chat_fields import VARIABLES, read_variables
from llamakit.server.generation.field import Anything, Body, FieldError, Texts, Whole, names_of
from llamakit.server.generation.fields import NAMES as NATIVE
from llamakit.server.generation.shapes import Shaped
from llamakit.server.models.served import Served

MAX_TOKENS = Whole("max_tokens", "Most tokens to write.", least=1)
DEFAULT_MAX_TOKENS = 4096
STOPS = Texts("stop_sequences", "Texts that end the answer.", most=1024)
MESSAGES = Shaped("messages", "The chat so far, Anthropic's messages.", shape=shapes.TURNS)
SYSTEM = Shaped("system", "What comes before it.", shape=shapes.one_of(shapes.CONTENT, shapes.NULL))
TOOLS = Shaped(
    "tools", "Functions that the model may call.", shape=shapes.one_of(shapes.a_list(shapes.SCHEMA_TOOL), shapes.NULL)
)
TOOL_CHOICE = Shaped("tool_choice", "Whether it may, or which it must.", shape=shapes.SCHEMA_TOOL_CHOICE)
THINKING = Anything("thinking", "enabled with budget_tokens, adaptive or disabled.", types=("object",))
OUTPUT = Anything("output_config", "format: a JSON schema that the answer must fit; effort.", types=("object",))
OUTPUT_FORMAT = Anything("output_format", "The older place of that format.", types=("object",))
MESSAGES_FIELDS = (MESSAGES, SYSTEM, TOOLS, TOOL_CHOICE, THINKING, OUTPUT, OUTPUT_FORMAT, MAX_TOKENS, STOPS, VARIABLES)
IDLE = {
    "betas", "cache_control", "container", "context_management", "diagnostics", "inference_geo", "metadata", "model",
    "service_tier", "speed", "user_profile_id", "workspace_id",
}  # fmt: skip
NAMES = NATIVE | names_of(MESSAGES_FIELDS) | IDLE
BUDGET = Whole("budget_tokens", "", least=0)
THINKING_TYPES = {"enabled": True, "adaptive": True, "between_tools": True, "disabled": False}
# A stamp in the system text of Anthropic's own command-line client; it differs each time, so that no cache would help.
STAMP = re.compile(r"(\Ax-anthropic-billing-header:[^\n]*?\bcch=)[0-9a-f]+")


def read_chat(body: Body, served: Served) -> Chat:
    """Raises FieldError, MessageError and ToolError, which name the place."""
    tools = read_tools(body)
    if tools and not served.settings.chat.use_jinja:
        raise FieldError("tools", "need a template that is rendered with Jinja; the server has --no-jinja")
    choice, is_parallel = read_tool_choice(body, tools)
    messages = read_messages(body)
    thinks, budget = read_thinking(body)
    variables = read_variables(body, served.template)
    effort, answer = read_output(body)
    if effort is not None:
        variables["reasoning_effort"] = effort
    if thinks is not None:
        variables["enable_thinking"] = thinks
    continues = messages[-1].role == "assistant" and not messages[-1].tool_calls
    return Chat(
        messages, tools, choice, is_parallel, answer, budget=budget, variables=variables, opens=not continues,
        continues=continues,
    )  # fmt: skip


def native_fields(body: Body) -> dict[str, Any]:
    """The fields for `read_fields`."""
    own = names_of(MESSAGES_FIELDS)
    fields = {name: value for name, value in body.items() if name in NATIVE and name not in own}
    n_predict = MAX_TOKENS.read(body)
    stops = STOPS.read(body)
    return {
        **fields,
        "n_predict": DEFAULT_MAX_TOKENS if n_predict is None else n_predict,
        "stop": None if stops is None else list(stops),
        "n": None,
    }


def given(parse: Any, body: Body, name: str) -> Any:
    """A field of the body, of the kind that `parse` wants; None where there is none."""
    value = body.get(name)
    return None if value is None else parse(value, name)


# messages
def read_messages(body: Body) -> tuple[Message, ...]:
    if "messages" not in body:
        raise FieldError("messages", "is required")
    items = a_list(body["messages"], "messages")
    if not items:
        raise MessageError("messages", "must hold at least one message")
    reader = MessageReader()
    if body.get("system") is not None:
        reader.system(body["system"])
    for i, item in enumerate(items):
        reader.read(an_object(item, f"messages[{i}]"), f"messages[{i}]")
    return tuple(reader.messages)


@dataclass(frozen=True)
class ToolResult:
    id: str
    text: str


class MessageReader:
    """Anthropic's messages to OpenAI's: results of tools are messages of their own."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.names: dict[str, str] = {}  # of the tools that were called, by the calls' ids

    def system(self, value: Any) -> None:
        text = value if isinstance(value, str) else "".join(texts_of(value, "system"))
        if text:
            self.messages.append(Message("system", STAMP.sub(r"\g<1>0", text)))

    def read(self, fields: Mapping[str, Any], where: str) -> None:
        role = a_text(fields.get("role"), f"{where}.role")
        if role not in ("user", "assistant", "system"):
            raise MessageError(f"{where}.role", f"is {role[:40]!r}; it must be user or assistant")
        content = fields.get("content")
        if isinstance(content, str):
            self.messages.append(Message(role, content))
            return
        blocks = [
            an_object(block, f"{where}.content[{i}]") for i, block in enumerate(a_list(content, f"{where}.content"))
        ]
        parts: list[Part] = []
        calls: list[ToolCall] = []
        thoughts: list[str] = []
        results: list[Message] = []
        for i, block in enumerate(blocks):
            place = f"{where}.content[{i}]"
            kind = a_text(block.get("type"), f"{place}.type")
            if kind == "text":
                parts.append(Part("text", a_text(block.get("text"), f"{place}.text")))
            elif kind == "thinking" and role == "assistant":
                thoughts.append(a_text(block.get("thinking"), f"{place}.thinking"))
            elif kind == "redacted_thinking" and role == "assistant":
                continue  # nobody here can read it
            elif kind == "tool_use" and role == "assistant":
                calls.append(self.call(block, place))
            elif kind == "tool_result" and role == "user":
                results.append(self.result(block, place))
            else:
                raise MessageError(place, unsupported(kind, role))
        self.messages += results
        if parts or calls or thoughts:
            content = tuple(parts) if len(parts) > 1 else parts[0].text if parts else ""
            reasoning = "".join(thoughts) or None
            self.messages.append(Message(role, content, tool_calls=tuple(calls), reasoning=reasoning))
        elif not results:
            raise MessageError(f"{where}.content", "is empty")

    def call(self, block: Mapping[str, Any], where: str) -> ToolCall:
        id, name = a_text(block.get("id"), f"{where}.id"), a_text(block.get("name"), f"{where}.name")
        self.names[id] = name
        arguments = an_object(block.get("input", {}), f"{where}.input")
        return ToolCall(name, json.dumps(arguments, ensure_ascii=False), id)

    def result(self, block: Mapping[str, Any], where: str) -> Message:
        id = a_text(block.get("tool_use_id"), f"{where}.tool_use_id")
        if id not in self.names:
            raise MessageError(f"{where}.tool_use_id", f"is {id[:40]!r}, which no tool_use before it has")
        content = block.get("content") or ""
        text = content if isinstance(content, str) else "".join(texts_of(content, f"{where}.content"))
        if block.get("is_error") is True:
            text = f"Error: {text}"
        return Message("tool", text, name=self.names[id], tool_call_id=id)


def texts_of(value: Any, where: str) -> list[str]:
    """The texts of a list of text blocks."""
    texts = []
    for i, block in enumerate(a_list(value, where)):
        fields = an_object(block, f"{where}[{i}]")
        kind = a_text(fields.get("type"), f"{where}[{i}].type")
        if kind != "text":
            raise MessageError(f"{where}[{i}]", unsupported(kind, "result of a tool"))
        texts.append(a_text(fields.get("text"), f"{where}[{i}].text"))
    return texts


def unsupported(kind: str, role: str) -> str:
    if kind in ("image", "document"):
        return f"{kind} input is not supported: the model reads text alone"
    return f"a block of type {kind[:40]!r} cannot stand in a message of the {role}"


# tools
def read_tools(body: Body) -> tuple[Tool, ...]:
    tools = []
    for i, value in enumerate(given(a_list, body, "tools") or ()):
        place = f"tools[{i}]"
        fields = an_object(value, place)
        kind = fields.get("type") or "custom"
        if kind != "custom":
            raise MessageError(f"{place}.type", f"is {str(kind)[:40]!r}; only tools with an input_schema are supported")
        schema = fields.get("input_schema")
        tools.append(parse_function({**fields, "parameters": schema}, place))
    names = [tool.name for tool in tools]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise MessageError("tools", f"there are two tools {twice!r}")
    return tuple(tools)


def read_tool_choice(body: Body, tools: tuple[Tool, ...]) -> tuple[ToolChoice, bool | None]:
    """The choice, and whether there may be several calls (None: nothing was said)."""
    fields = given(an_object, body, "tool_choice")
    if fields is None:
        return AUTO, None
    kind = a_text(fields.get("type"), "tool_choice.type")
    is_parallel = False if fields.get("disable_parallel_tool_use") is True else None
    if kind == "none":
        return ToolChoice(ToolUse.NONE), is_parallel
    if kind == "auto":
        return AUTO, is_parallel
    if kind not in ("any", "tool"):
        raise MessageError("tool_choice.type", f"is {kind[:40]!r}; it must be auto, any, tool or none")
    if not tools:
        raise MessageError("tool_choice", "a call is required, but there are no tools")
    if kind == "any":
        return ToolChoice(ToolUse.REQUIRED), is_parallel
    name = a_text(fields.get("name"), "tool_choice.name")
    if name not in [tool.name for tool in tools]:
        raise MessageError("tool_choice.name", f"there is no tool {name[:40]!r}")
    return ToolChoice(ToolUse.REQUIRED, name), is_parallel


# thoughts and the answer's form
def read_thinking(body: Body) -> tuple[bool | None, int | None]:
    """Whether to think first, and for how many tokens; None: as the server does."""
    fields = given(an_object, body, "thinking")
    if fields is None:
        return None, None
    kind = a_text(fields.get("type"), "thinking.type")
    if kind not in THINKING_TYPES:
        raise MessageError("thinking.type", f"is {kind[:40]!r}; it must be one of {', '.join(THINKING_TYPES)}")
    return THINKING_TYPES[kind], BUDGET.read(fields) if kind == "enabled" else None


def read_output(body: Body) -> tuple[str | None, AnswerForm | None]:
    """How hard to think, and the schema of the answer."""
    config = given(an_object, body, "output_config") or {}
    effort = optional(a_text, config, "effort", "output_config")
    name = "output_config.format" if config.get("format") is not None else "output_format"
    form = config.get("format") if config.get("format") is not None else body.get("output_format")
    if form is None:
        return effort, None
    fields = an_object(form, name)
    if fields.get("type") != "json_schema":
        raise FieldError(f"{name}.type", f"must be json_schema, not {described(fields.get('type'))}")
    return effort, AnswerForm(f"{name}.schema", fields.get("schema"))
