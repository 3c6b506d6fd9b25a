"""llama-cpp-python's way to add chat formats: functions from messages to a prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llamakit.api.chat_formats import Handler, register_chat_completion_handler, template_of, unregister_chat_handler
from llamakit.api.chat_formats import handler_of as registered
from llamakit.core.chat.errors import TemplateError
from llamakit.core.chat.named import TEMPLATES
from llamakit.core.chat.python_formats import PLAIN, SAME

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
        from llamakit.api.chat import create_chat_completion

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


def handler_of(formatter: Formatter) -> Callable[..., Any]:
    """A chat handler that completes the prompt of a formatter, and answers in a chat's shape."""

    def handle(*, llama: Llama, messages: Messages, stop: Any = None, stream: bool = False, **options: Any) -> Any:
        made = formatter(messages=messages, **options)
        stops = [*listed(stop), *listed(made.stop)]
        text = made.prompt.encode()
        tokens = llama.tokenize(text, add_bos=not made.added_special, special=True)
        names = (
            "temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "max_tokens", "presence_penalty",
            "frequency_penalty", "repeat_penalty", "tfs_z", "mirostat_mode", "mirostat_tau", "mirostat_eta", "model",
            "logits_processor", "grammar", "logit_bias",
        )  # fmt: skip
        given = {name: options[name] for name in names if name in options}
        answer = llama.create_completion(
            tokens, stop=stops, stream=stream, stopping_criteria=made.stopping_criteria, **given
        )
        return as_chat(answer) if isinstance(answer, dict) else map(as_chunk, answer)

    return handle


def listed(stop: str | Sequence[str] | None) -> list[str]:
    return [stop] if isinstance(stop, str) else [*(stop or ())]


def as_chat(answer: dict[str, Any]) -> dict[str, Any]:
    """A completion in a chat's shape."""
    (choice,) = answer["choices"]
    message = {"role": "assistant", "content": choice["text"]}
    told = {"index": 0, "message": message, "logprobs": None, "finish_reason": choice["finish_reason"]}
    return {**answer, "id": f"chat{answer['id']}", "object": "chat.completion", "choices": [told]}


def as_chunk(chunk: dict[str, Any]) -> dict[str, Any]:
    (choice,) = chunk["choices"]
    delta = {"content": choice["text"]} if choice["text"] else {}
    told = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": choice["finish_reason"]}
    return {**chunk, "id": f"chat{chunk['id']}", "object": "chat.completion.chunk", "choices": [told]}


class Jinja2ChatFormatter:
    """A template as a formatter."""

    def __init__(
        self, template: str, eos_token: str = "", bos_token: str = "", add_generation_prompt: bool = True,
        stop_token_ids: Sequence[int] | None = None, special_tokens_map: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        from llamakit.core.chat.template import ChatTemplate

        self._template = ChatTemplate(template, bos_token=bos_token, eos_token=eos_token)
        self._stop, self._opens = eos_token, add_generation_prompt
        self._variables = dict(special_tokens_map or {})

    def __call__(
        self, *, messages: Messages, tools: Any = None, functions: Any = None, **options: Any
    ) -> ChatFormatterResponse:
        prompt = self._template.render(
            [dict(message) for message in messages], tools=tools, add_generation_prompt=self._opens,
            functions=functions, **self._variables,
        )  # fmt: skip
        return ChatFormatterResponse(prompt, self._stop or None, added_special=True)

    def to_chat_handler(self) -> Callable[..., Any]:
        return handler_of(self)
