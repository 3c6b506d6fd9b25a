"""llama-cpp-python's way to add chat formats: functions from messages to a prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llamakit.api.arguments import plain, texts, whole_number
from llamakit.api.chat import answer_form, create_chat_completion, objects
from llamakit.api.chat_formats import Handler, register_chat_completion_handler, template_of, unregister_chat_handler
from llamakit.api.chat_formats import handler_of as registered
from llamakit.api.drawing import StoppingCriteriaList
from llamakit.compat.chat_shapes import as_chat, as_chunks
from llamakit.core.chat.errors import TemplateError
from llamakit.core.chat.named import TEMPLATES
from llamakit.core.chat.output.tools import Tool, parse_functions, parse_tool_choice, parse_tools
from llamakit.core.chat.python_formats import PLAIN, SAME
from llamakit.core.chat.request import rules_of_schema
from llamakit.core.grammar.grammar import Grammar

if TYPE_CHECKING:
    from llamakit.api.llama import Llama

Messages = Sequence[Mapping[str, Any]]
Formatter = Callable[..., "ChatFormatterResponse"]


@dataclass
class ChatFormatterResponse:
    """A prompt, and what ends the answer."""

    prompt: str
    stop: str | Sequence[str] | None = None
    stopping_criteria: Any = None
    added_special: bool = False  # the prompt begins with BOS already


def register_chat_format(name: str) -> Callable[[Formatter], Formatter]:
    """@register_chat_format("mine"): a function (messages, **options) -> ChatFormatterResponse."""

    def register(formatter: Formatter) -> Formatter:
        register_chat_completion_handler(name, overwrite=True)(handler_of(formatter))
        return formatter

    return register


def get_chat_completion_handler(name: str) -> Handler:
    """That of a name: the user's own, or one that chats by our template. Raises TemplateError for an unknown name."""
    if (own := registered(name)) is not None:
        return own
    if name not in {*TEMPLATES, *PLAIN, *SAME}:
        raise TemplateError(f"Invalid chat handler: {name}")

    def handle(*, llama: Llama, messages: Messages, **options: Any) -> Any:
        return create_chat_completion(llama, template_of(llama, name), messages, **options)

    return handle


class Registry:
    """llama-cpp-python's one registry, under its methods' names."""

    def register_chat_completion_handler(self, name: str, chat_handler: Handler, overwrite: bool = False) -> None:
        register_chat_completion_handler(name, overwrite)(chat_handler)

    def unregister_chat_handler(self, name: str) -> None:
        unregister_chat_handler(name)

    def get_chat_completion_handler_by_name(self, name: str) -> Handler:
        return get_chat_completion_handler(name)


# What a formatter is not told, with what it is where nobody says; create_completion gets it.
DRAWING = {
    "temperature": 0.2, "top_p": 0.95, "top_k": 40, "min_p": 0.05, "typical_p": 1.0, "seed": None, "max_tokens": None,
    "presence_penalty": 0.0, "frequency_penalty": 0.0, "repeat_penalty": 1.1, "tfs_z": 1.0, "mirostat_mode": 0,
    "mirostat_tau": 5.0, "mirostat_eta": 0.1, "model": None, "logits_processor": None, "logit_bias": None,
}  # fmt: skip


def handler_of(chat_formatter: Formatter) -> Callable[..., Any]:
    """A chat handler that completes the prompt of a formatter, and answers in a chat's shape.

    A response_format holds the answer to its schema; a tool that tool_choice (or function_call) names is called: the
    answer is its arguments, held to its parameters. The formatter is told of tools, and of all that no handler knows.
    """

    def handle(
        *,
        llama: Llama,
        messages: Messages,
        functions: Sequence[Mapping[str, Any]] | None = None,
        function_call: str | Mapping[str, Any] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        stop: str | Sequence[str] | None = None,
        stream: bool = False,
        response_format: Mapping[str, Any] | None = None,
        grammar: Grammar | None = None,
        logprobs: bool | None = None,
        top_logprobs: int | None = None,
        **options: Any,
    ) -> Any:
        n_top = 0 if top_logprobs is None else whole_number("top_logprobs", top_logprobs, least=0)
        drawing = {name: options.pop(name, default) for name, default in DRAWING.items()}
        tool = named_tool(tools, tool_choice, functions, function_call)
        made = chat_formatter(
            messages=messages, functions=functions, function_call=function_call, tools=tools, tool_choice=tool_choice,
            **options,
        )  # fmt: skip
        if tool is not None:
            grammar = Grammar(rules_of_schema(dict(tool.parameters), f"parameters of {tool.name}"))
        elif (form := answer_form(response_format, grammar)) is not None and form.rules is None:
            grammar = Grammar(rules_of_schema(form.schema, form.param))
        answer = llama.create_completion(
            llama.tokenize(made.prompt.encode(), add_bos=not made.added_special, special=True),
            stop=[*texts("stop", stop), *texts("stop", made.stop)], stream=stream,
            stopping_criteria=made.stopping_criteria, grammar=grammar, logprobs=n_top if logprobs else None, **drawing,
        )  # fmt: skip
        name = None if tool is None else tool.name
        return as_chat(answer, name) if isinstance(answer, dict) else as_chunks(answer, name)

    return handle


def named_tool(tools: Any, tool_choice: Any, functions: Any, function_call: Any) -> Tool | None:
    """The one that has to be called. Raises ToolError for tools or a choice that make no sense."""
    if functions is not None:
        parsed, choice = parse_functions(objects("functions", functions), plain(function_call))
    else:
        parsed = parse_tools(objects("tools", tools))
        choice = parse_tool_choice(plain(tool_choice), parsed)
    return next((tool for tool in parsed if tool.name == choice.name), None)


class Jinja2ChatFormatter:
    """A template as a formatter. Where one of stop_token_ids is the last token, the answer ends."""

    def __init__(
        self, template: str, eos_token: str = "", bos_token: str = "", add_generation_prompt: bool = True,
        stop_token_ids: Sequence[int] | None = None, special_tokens_map: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        from llamakit.core.chat.template import ChatTemplate

        self.template, self.eos_token, self.bos_token = template, eos_token, bos_token
        self.add_generation_prompt = add_generation_prompt
        self.stop_token_ids = None if stop_token_ids is None else set(stop_token_ids)
        self._template = ChatTemplate(template, bos_token=bos_token, eos_token=eos_token)
        self._variables = dict(special_tokens_map or {})

    def __call__(
        self, *, messages: Messages, functions: Any = None, function_call: Any = None, tools: Any = None,
        tool_choice: Any = None, **variables: Any,
    ) -> ChatFormatterResponse:  # fmt: skip
        """Everything is the template's to read. Raises TemplateError, MessageError."""
        prompt = self._template.render(
            [dict(message) for message in messages], tools=tools, add_generation_prompt=self.add_generation_prompt,
            functions=functions, function_call=function_call, tool_choice=tool_choice,
            **self._variables | variables,
        )  # fmt: skip
        stop = [self.eos_token] if self.eos_token else None
        return ChatFormatterResponse(prompt, stop, self._criteria(), added_special=True)

    def _criteria(self) -> StoppingCriteriaList | None:
        if self.stop_token_ids is None:
            return None
        ends = self.stop_token_ids
        return StoppingCriteriaList([lambda tokens, _: int(tokens[-1]) in ends])

    def to_chat_handler(self) -> Callable[..., Any]:
        return handler_of(self)
