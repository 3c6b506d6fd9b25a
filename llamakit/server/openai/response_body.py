"""A request of the Responses API: to a chat, and to llama-server's fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llamakit.core.chat.errors import MessageError
from llamakit.core.chat.message import Message, Part, ToolCall, a_list, a_text, an_object, optional
from llamakit.core.chat.output.tools import AUTO, Tool, ToolChoice, parse_function, parse_tool_choice
from llamakit.core.chat.request import AnswerForm
from llamakit.server.errors import Refused
from llamakit.server.generation import shapes
from llamakit.server.generation.chat import Chat
from llamakit.server.generation.chat_fields import (
    BUDGET,
    BUDGET_MESSAGE,
    PARALLEL,
    REASONING_FORMAT,
    VARIABLES,
    read_reasoning_format,
    read_variables,
)
from llamakit.server.generation.field import Anything, Body, FieldError, Text, Whole, names_of
from llamakit.server.generation.fields import NAMES as NATIVE
from llamakit.server.generation.shapes import Shaped
from llamakit.server.models.served import Served
from llamakit.server.openai.fields import KNOWN, TOP_LOGPROBS

INPUT = Shaped("input", "A text, or items: messages, calls of functions and their outputs.", shape=shapes.INPUT)
INSTRUCTIONS = Text("instructions", "What the system says first.")
TOOLS = Shaped(
    "tools", "Functions that the model may call.", shape=shapes.one_of(shapes.a_list(shapes.FLAT_TOOL), shapes.NULL)
)
TOOL_CHOICE = Shaped("tool_choice", "Whether it may, or which it must.", shape=shapes.FLAT_TOOL_CHOICE)
TEXT = Anything("text", "format: text, json_object, or json_schema with name and schema.", types=("object",))
REASONING = Anything("reasoning", "effort: how hard to think; none: not at all.", types=("object",))
MAX_TOKENS = Whole("max_output_tokens", "Most tokens to write.", least=1)
RESPONSE_FIELDS = (
    INPUT, INSTRUCTIONS, TOOLS, TOOL_CHOICE, PARALLEL, TEXT, REASONING, MAX_TOKENS, TOP_LOGPROBS, VARIABLES, BUDGET,
    BUDGET_MESSAGE, REASONING_FORMAT,
)  # fmt: skip
IDLE = {
    "access_programs", "background", "background_options", "context_management", "conversation", "include",
    "max_tool_calls", "previous_response_id", "prompt", "truncation",
}  # fmt: skip
NAMES = KNOWN | names_of(RESPONSE_FIELDS) | IDLE
# Answers are kept nowhere, so nothing can go on from one.
REFUSED = {
    "previous_response_id": "is not supported: answers are not kept; send the whole conversation as input",
    "conversation": "is not supported: conversations are not kept; send all of it as input",
    "prompt": "is not supported: there are no stored prompts",
    "background": "is not supported: an answer is there when its request is",
}


def read_chat(body: Body, served: Served) -> Chat:
    """Raises FieldError, MessageError and ToolError, which name the place."""
    for name, reason in REFUSED.items():
        if body.get(name):
            raise Refused(400, f"{name} {reason}", name)
    if body.get("truncation") not in (None, "disabled"):
        raise FieldError("truncation", "must be disabled: nothing is left out of an input silently")
    tools, choice = read_tools(body)
    if tools and not served.settings.chat.use_jinja:
        raise FieldError("tools", "need a template that is rendered with Jinja; the server has --no-jinja")
    messages = tuple(read_messages(body))
    effort = (given(an_object, body, "reasoning") or {}).get("effort", body.get("reasoning_effort"))
    continues = messages[-1].role == "assistant" and not messages[-1].tool_calls
    return Chat(
        messages,
        tools,
        choice,
        PARALLEL.read(body),
        read_form(body),
        read_reasoning_format(body),
        BUDGET.read(body),
        BUDGET_MESSAGE.read(body),
        read_variables({**body, "reasoning_effort": effort}, served.template),
        opens=not continues,
        continues=continues,
    )


def native_fields(body: Body) -> dict[str, Any]:
    """The fields for `read_fields`."""
    own = names_of(RESPONSE_FIELDS) | {"n", "grammar", "json_schema", "logprobs"}
    fields = {name: value for name, value in body.items() if name in NATIVE and name not in own}
    n_predict = MAX_TOKENS.read(body)
    return fields if n_predict is None else {**fields, "n_predict": n_predict}


def given(parse: Any, body: Body, name: str) -> Any:
    """A field of the body, of the kind that `parse` wants; None where there is none."""
    value = body.get(name)
    return None if value is None else parse(value, name)


# the input
def read_messages(body: Body) -> list[Message]:
    value = body.get("input")
    if value is None:
        raise FieldError("input", "'input' is required")
    said = [Message("user", value)] if isinstance(value, str) else read_items(a_list(value, "input"))
    instructions = given(a_text, body, "instructions")
    messages = [*([Message("system", instructions)] if instructions else []), *said]
    if not said:
        raise MessageError("input", "must hold at least one item")
    return messages


def read_items(items: Any) -> list[Message]:
    """Items to messages. What the assistant thinks, says and calls in a row is one message."""
    messages: list[Message] = []
    called: dict[str, str] = {}  # names of functions by the calls' ids
    for i, item in enumerate(items):
        where = f"input[{i}]"
        fields = an_object(item, where)
        kind = fields.get("type") or "message"
        if kind == "function_call_output":
            id = a_text(fields.get("call_id"), f"{where}.call_id")
            if id not in called:
                raise MessageError(f"{where}.call_id", f"is {id[:40]!r}, which no function_call before it has")
            text = read_text(fields.get("output"), f"{where}.output")
            messages.append(Message("tool", text, name=called[id], tool_call_id=id))
            continue
        if kind == "message":
            message = read_message(fields, where)
        elif kind == "function_call":
            call = read_call(fields, where)
            called[call.id] = call.name
            message = Message("assistant", None, tool_calls=(call,))
        elif kind == "reasoning":
            message = Message("assistant", None, reasoning=read_thought(fields, where))
        else:
            raise MessageError(f"{where}.type", f"{str(kind)[:40]!r} items are not supported")
        if message.role == "assistant" and messages and messages[-1].role == "assistant":
            message = joined(messages.pop(), message)
        if message.role != "assistant" or message.content or message.tool_calls or message.reasoning:
            messages.append(message)
    return messages


def joined(a: Message, b: Message) -> Message:
    content = "".join(message.text for message in (a, b)) or None
    reasoning = "".join(message.reasoning or "" for message in (a, b)) or None
    return Message("assistant", content, tool_calls=a.tool_calls + b.tool_calls, reasoning=reasoning)


def read_message(fields: Mapping[str, Any], where: str) -> Message:
    role = a_text(fields.get("role"), f"{where}.role")
    if role not in ("user", "assistant", "system", "developer"):
        raise MessageError(f"{where}.role", f"is {role[:40]!r}; it must be user, assistant, system or developer")
    content = fields.get("content")
    if isinstance(content, str):
        return Message(role, content)
    parts = read_parts(content, f"{where}.content")
    if role == "assistant":
        return Message(role, "".join(part.text for part in parts))
    return Message(role, parts if len(parts) != 1 else parts[0].text)


def read_parts(value: Any, where: str) -> tuple[Part, ...]:
    parts = []
    for i, part in enumerate(a_list(value, where)):
        fields = an_object(part, f"{where}[{i}]")
        kind = a_text(fields.get("type"), f"{where}[{i}].type")
        if kind not in ("input_text", "output_text", "text", "refusal"):
            raise MessageError(f"{where}[{i}]", f"{kind[:40]} is not supported: the model reads text alone")
        name = "refusal" if kind == "refusal" else "text"
        parts.append(Part("text", a_text(fields.get(name), f"{where}[{i}].{name}")))
    return tuple(parts)


def read_text(value: Any, where: str) -> str:
    return value if isinstance(value, str) else "".join(part.text for part in read_parts(value, where))


def read_call(fields: Mapping[str, Any], where: str) -> ToolCall:
    names = ("name", "arguments", "call_id")
    name, arguments, id = (a_text(fields.get(key), f"{where}.{key}") for key in names)
    return ToolCall(name, arguments, id)


def read_thought(fields: Mapping[str, Any], where: str) -> str:
    """The text of a reasoning item; a summary stands in for it."""
    texts = []
    for name in ("content", "summary"):
        for i, part in enumerate(optional(a_list, fields, name, where) or ()):
            texts.append(a_text(an_object(part, f"{where}.{name}[{i}]").get("text"), f"{where}.{name}[{i}].text"))
        if texts:
            break
    return "".join(texts)


# tools, the answer's form
def read_tools(body: Body) -> tuple[tuple[Tool, ...], ToolChoice]:
    """The functions among the tools; the others are the API's own, and `idle_tools` names them."""
    tools = []
    for i, value in enumerate(given(a_list, body, "tools") or ()):
        fields = an_object(value, f"tools[{i}]")
        if fields.get("type") == "function":
            tools.append(parse_function(fields, f"tools[{i}]"))
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        allowed = [
            an_object(tool, "tool_choice.tools").get("name")
            for tool in a_list(choice.get("tools"), "tool_choice.tools")
        ]
        tools = [tool for tool in tools if tool.name in allowed]
        choice = choice.get("mode", "auto")
    elif isinstance(choice, Mapping) and choice.get("type") == "function":
        choice = {"function": {"name": choice.get("name")}}
    return tuple(tools), AUTO if choice is None else parse_tool_choice(choice, tuple(tools))


def idle_tools(body: Body) -> list[str]:
    """Tools that are no functions: there is nobody here to serve them."""
    tools = body.get("tools") or ()
    return [f"tools.{i}" for i, tool in enumerate(tools) if isinstance(tool, dict) and tool.get("type") != "function"]


def read_form(body: Body) -> AnswerForm | None:
    form = (given(an_object, body, "text") or {}).get("format")
    if form is None:
        return None
    fields = an_object(form, "text.format")
    kind = fields.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return AnswerForm("text.format", {})
    if kind == "json_schema":
        return AnswerForm("text.format.schema", fields.get("schema"))
    raise FieldError("text.format.type", f"must be text, json_object or json_schema, not {str(kind)[:40]!r}")
