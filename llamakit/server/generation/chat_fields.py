"""The fields of a chat as OpenAI and llama-server spell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llamakit.core.chat.message import Message, check_plain, described, parse_messages, refuse_media
from llamakit.core.chat.output.format import ReasoningFormat
from llamakit.core.chat.output.tools import Tool, ToolChoice, parse_functions, parse_tool_choice, parse_tools
from llamakit.core.chat.prompt import GIVEN, SWITCHES
from llamakit.core.chat.request import AnswerForm
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.gbnf import parse_gbnf
from llamakit.core.grammar.regex_rules import regex_rules
from llamakit.server.generation import shapes
from llamakit.server.generation.chat import Chat
from llamakit.server.generation.field import Anything, Body, FieldError, Flag, Text, Whole
from llamakit.server.generation.shapes import Shaped

if TYPE_CHECKING:
    from llamakit.core.chat.template import ChatTemplate
    from llamakit.server.models.served import Served

MESSAGES = Shaped("messages", "The chat so far, OpenAI's messages.", shape=shapes.MESSAGES)
TOOLS = Shaped(
    "tools", "Functions that the model may call.", shape=shapes.one_of(shapes.a_list(shapes.TOOL), shapes.NULL)
)
TOOL_CHOICE = Shaped("tool_choice", "Whether it may, or which it must.", shape=shapes.TOOL_CHOICE)
PARALLEL = Flag("parallel_tool_calls", "Whether it may call several at once.")
FUNCTIONS = Anything("functions", "The older spelling of tools.", types=("array",))
FUNCTION_CALL = Anything("function_call", "The older spelling of tool_choice.", types=("string", "object"))
RESPONSE_FORMAT = Shaped("response_format", "What the answer has to be.", shape=shapes.RESPONSE_FORMAT)
JSON_SCHEMA = Anything("json_schema", "JSON schema that the answer must fit; {}: any object.",
                       types=("object", "boolean"))  # fmt: skip
GRAMMAR = Text("grammar", "GBNF that the answer must follow.")
REASONING_FORMAT = Text("reasoning_format", "Where thoughts go: none, auto, deepseek or deepseek-legacy.")
REASONING_EFFORT = Text("reasoning_effort", "How hard to think, a word of the template's; none: not at all.")
BUDGET = Whole("reasoning_budget_tokens", "Tokens to think; -1: as the server says.", ("thinking_budget_tokens",),
               least=-1)  # fmt: skip
BUDGET_MESSAGE = Text("reasoning_budget_message", "Text that ends thoughts that are too long.")
VARIABLES = Anything("chat_template_kwargs", "Variables of the chat template, as enable_thinking.", types=("object",))
OPENS = Flag("add_generation_prompt", "Whether the prompt opens the assistant's turn.")
CONTINUES = Anything("continue_final_message", "Go on with the last message, which is the assistant's.",
                     types=("boolean", "string"))  # fmt: skip
CHAT_FIELDS = (
    MESSAGES, TOOLS, TOOL_CHOICE, PARALLEL, FUNCTIONS, FUNCTION_CALL, RESPONSE_FORMAT, JSON_SCHEMA, GRAMMAR,
    REASONING_FORMAT, REASONING_EFFORT, BUDGET, BUDGET_MESSAGE, VARIABLES, OPENS, CONTINUES,
)  # fmt: skip

OURS = GIVEN | {"chat_template", "tokenize"}
CONTINUATIONS = {"none": False, "auto": True, "content": True, "reasoning": True}


def read_chat(body: Body, served: Served) -> Chat:
    """What a body says of the chat. Raises FieldError, MessageError, ToolError, which name the place."""
    if body.get("chat_template") is not None:
        raise FieldError("chat_template", "templates of clients are not run here; --chat-template chooses the server's")
    tools, choice, is_legacy = read_tools(body)
    if tools and not served.settings.chat.use_jinja:
        raise FieldError("tools", "need a template that is rendered with Jinja; the server has --no-jinja")
    grammar, schema = GRAMMAR.read(body), JSON_SCHEMA.find(body)
    if grammar and schema:
        raise FieldError("json_schema", "Cannot use both json_schema and grammar")
    if grammar and tools and choice.use.value != "none":
        raise FieldError("grammar", "Cannot use custom grammar constraints with tools.")
    messages = read_messages(body)
    continues = read_continues(body, messages, served.settings.chat.prefills)
    return Chat(
        messages,
        tools,
        choice,
        False if is_legacy else PARALLEL.read(body),
        read_answer_form(body, grammar),
        read_reasoning_format(body),
        BUDGET.read(body),
        BUDGET_MESSAGE.read(body),
        read_variables(body, served.template),
        opens=not continues and OPENS.read(body) is not False,
        continues=continues,
    )


def read_messages(body: Body) -> tuple[Message, ...]:
    if "messages" not in body:
        raise FieldError("messages", "'messages' is required")
    value = body["messages"]
    if isinstance(value, list):
        value = [with_calls(message) for message in value]
    messages = parse_messages(value)
    for i, message in enumerate(messages):
        refuse_media(message, f"messages[{i}].content")
    return tuple(messages)


def with_calls(message: Any) -> Any:
    """A message in today's spelling: function_call is a call, a function's answer a tool's, a refusal a text."""
    if not isinstance(message, dict):
        return message
    changed = dict(message)
    call = changed.pop("function_call", None)
    if call is not None and not changed.get("tool_calls"):
        changed["tool_calls"] = [{"type": "function", "function": call}]
    if changed.get("role") == "function":
        changed["role"] = "tool"
    if changed.get("reasoning_content") is None and isinstance(changed.get("reasoning"), str):
        changed["reasoning_content"] = changed["reasoning"]
    if isinstance(changed.get("content"), list):
        changed["content"] = [
            {"type": "text", "text": part.get("refusal")}
            if isinstance(part, dict) and part.get("type") == "refusal"
            else part
            for part in changed["content"]
        ]
    if changed.get("content") is None and changed.get("refusal") is not None:
        changed["content"] = changed["refusal"]
    return changed


def read_tools(body: Body) -> tuple[tuple[Tool, ...], ToolChoice, bool]:
    """The tools, the choice among them, and whether they came in the older fields."""
    if body.get("tools") is None and (body.get("functions") is not None or body.get("function_call") is not None):
        return *parse_functions(body.get("functions"), body.get("function_call")), True
    tools = parse_tools(body.get("tools"))
    return tools, parse_tool_choice(body.get("tool_choice"), tools), False


def read_answer_form(body: Body, grammar: str | None) -> AnswerForm | None:
    if grammar:
        return AnswerForm("grammar", rules=parsed("grammar", parse_gbnf, grammar))
    schema = JSON_SCHEMA.find(body)
    form = RESPONSE_FORMAT.find(body)
    if form is None:
        return None if schema is None else AnswerForm(*schema)
    value = form[1]
    if not isinstance(value, Mapping):
        raise FieldError("response_format", f"must be an object, not {described(value)}")
    kind = value.get("type")
    if kind is None or kind == "text":
        return None if schema is None else AnswerForm(*schema)
    if kind == "json_schema":
        return read_json_schema(value)
    if kind in ("json_object", "json"):
        name = next((name for name in ("schema", "value") if value.get(name) is not None), None)
        if name is None:
            return AnswerForm(*schema) if schema is not None else AnswerForm("response_format", {})
        return AnswerForm(f"response_format.{name}", value[name])
    if kind == "regex":
        return AnswerForm(
            "response_format.value", rules=parsed("response_format.value", regex_rules, value.get("value"))
        )
    allowed = '"text", "json_object" or "json_schema"'
    raise FieldError("response_format", f"response_format type must be one of {allowed}, but got: {str(kind)[:40]}")


def read_json_schema(form: Mapping[str, Any]) -> AnswerForm:
    wrapped = form.get("json_schema", form.get("value"))
    if not isinstance(wrapped, Mapping):
        raise FieldError("response_format.json_schema", f"must be an object with a schema, not {described(wrapped)}")
    schema = wrapped.get("schema")
    return AnswerForm("response_format.json_schema.schema", {} if schema is None else schema)


def parsed(param: str, parse: Any, text: Any) -> Any:
    if not isinstance(text, str):
        raise FieldError(param, f"must be a text, not {described(text)}")
    try:
        return parse(text)
    except GrammarError as error:
        raise FieldError(param, str(error)) from None


def read_reasoning_format(body: Body) -> ReasoningFormat | None:
    name = REASONING_FORMAT.read(body)
    if name is None:
        return None
    names = [form.value for form in ReasoningFormat]
    if name not in names:
        raise FieldError("reasoning_format", f"must be one of {', '.join(names)}, but is {name[:40]!r}")
    return ReasoningFormat(name)


def read_continues(body: Body, messages: tuple[Message, ...], prefills: bool) -> bool:
    """Whether the last message goes on: it is the assistant's, and nothing says otherwise."""
    said = CONTINUES.find(body)
    if said is None or said[1] is False or said[1] == "none":
        return prefills and messages[-1].role == "assistant" and not messages[-1].tool_calls
    if said[1] is not True and said[1] not in [*CONTINUATIONS]:
        raise FieldError("continue_final_message", f"must be true, false, or one of {', '.join(CONTINUATIONS)}")
    if OPENS.read(body):
        raise FieldError(
            "continue_final_message", "Cannot set both add_generation_prompt and continue_final_message to true."
        )
    return True


def read_variables(body: Body, template: ChatTemplate) -> dict[str, Any]:
    """Variables that a client may set: those that the template reads, and that are not the server's own."""
    found = VARIABLES.find(body)
    given = {} if found is None else found[1]
    if not isinstance(given, Mapping):
        raise FieldError(VARIABLES.name, f"must be an object, not {described(given)}")
    allowed = read_by(template)
    for name in given:
        if name in OURS:
            raise FieldError(f"{VARIABLES.name}.{name}"[:100], "is the server's to set")
    check_plain(given, VARIABLES.name)
    variables = {name: value for name, value in given.items() if name in allowed}
    if not isinstance(variables.get("enable_thinking", True), bool):
        kind = described(variables["enable_thinking"])
        raise FieldError(
            f"{VARIABLES.name}.enable_thinking", f'invalid type for "enable_thinking" (expected boolean, got {kind})'
        )
    effort = REASONING_EFFORT.read(body)
    if effort == "none":
        variables["enable_thinking"] = False
        variables.pop("reasoning_effort", None)
    elif effort:
        variables["reasoning_effort"] = effort
    return variables


def unread_variables(body: Body, template: ChatTemplate) -> list[str]:
    """Variables of a client that mean nothing to the template."""
    found = VARIABLES.find(body)
    given = found[1] if found is not None and isinstance(found[1], Mapping) else {}
    return [f"{VARIABLES.name}.{name}" for name in given if name not in read_by(template)]


def read_by(template: ChatTemplate) -> frozenset[str]:
    """The variables that a client may set: those that the template reads, and those that every one may be told."""
    return frozenset((template.variables | SWITCHES) - OURS)


def without_chat(body: Body) -> dict[str, Any]:
    """The fields that are not of the chat, for `read_fields`."""
    chat = {name for field in CHAT_FIELDS for name in field.names} | {"logprobs", "top_logprobs"}
    return {name: value for name, value in body.items() if name not in chat}
