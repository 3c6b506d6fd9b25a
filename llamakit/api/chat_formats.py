"""Chat formats by name: those of llama-cpp-python as templates of ours, and handlers of the user's own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llamakit.core.chat.load import load_template
from llamakit.core.chat.named import TEMPLATES, Turns
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.api.llama import Llama
    from llamakit.core.chat.template import ChatTemplate

Handler = Callable[..., Any]  # (llama=..., messages=..., and all else of create_chat_completion)
OWN = "chat_template.default"  # the model's

# Names that mean one of ours.
SAME = {
    "llama-2": "llama2-sys", "llama-3": "llama3", "mistral-instruct": "mistral-v1", "qwen": "chatml",
    "functionary": "chatml", "functionary-v1": "chatml", "functionary-v2": "chatml",
    "chatml-function-calling": "chatml",
}  # fmt: skip

# Of models that had no template of their own, as their makers say.
PLAIN = {
    "alpaca": Turns(
        system="{C}\n\n", user="### Instruction: {C}\n\n", assistant="### Response: {C}</s>", opens="### Response:"
    ),
    "oasst_llama": Turns(
        system="[INST] <<SYS>>\n{C}\n<</SYS>>\n\n", user="<|prompter|>{C}</s>", assistant="<|assistant|>{C}</s>",
        opens="<|assistant|>",
    ),
    "baichuan": Turns(system="{C}", user="<reserved_102>{C}", assistant="<reserved_103>{C}", opens="<reserved_103>"),
    "baichuan-2": Turns(system="{C}", user="<reserved_106>{C}", assistant="<reserved_107>{C}", opens="<reserved_107>"),
    "openbuddy": Turns(system="{C}\n", user="User: {C}\n", assistant="Assistant: {C}\n", opens="Assistant:"),
    "redpajama-incite": Turns(system="{C}\n", user="<human>: {C}\n", assistant="<bot>: {C}\n", opens="<bot>:"),
    "snoozy": Turns(
        system="### Instruction:\n{C}\n", user="### Prompt: {C}\n", assistant="### Response: {C}\n",
        opens="### Response:",
    ),
    "phind": Turns(
        system="### System Prompt\n{C}\n\n", user="### User Message: {C}\n\n", assistant="### Assistant: {C}\n\n",
        opens="### Assistant:",
    ),
    "intel": Turns(
        system="### System:\n{C}\n", user="### User: {C}\n", assistant="### Assistant: {C}\n", opens="### Assistant:"
    ),
    "open-orca": Turns(
        system="{C}<|end_of_turn|>\n", user="User: {C}<|end_of_turn|>\n", assistant="Assistant: {C}<|end_of_turn|>\n",
        opens="Assistant: ",
    ),
    "mistrallite": Turns(
        system="<|system|>{C}</s>", user="<|prompter|>{C}</s>", assistant="<|assistant|>{C}</s>", opens="<|assistant|>"
    ),
    "pygmalion": Turns(system="<|system|>{C}\n", user="<|user|>{C}\n", assistant="<|model|>{C}\n", opens="<|model|>"),
    "saiga": Turns(
        system="<s>system\n{C}</s>", user="<s>user\n{C}</s>", assistant="<s>bot\n{C}</s>", opens="<s>bot"
    ),
}  # fmt: skip

_handlers: dict[str, Handler] = {}
_lock = threading.Lock()


def register_chat_completion_handler(name: str, overwrite: bool = False) -> Callable[[Handler], Handler]:
    """@register_chat_completion_handler("mine"): what `Llama(chat_format="mine")` chats with.

    The function gets `llama` and all that create_chat_completion got, as keywords. Raises UsageError for a name that is
    taken.
    """

    def register(handler: Handler) -> Handler:
        with _lock:
            if name in _handlers and not overwrite:
                raise UsageError(
                    f"Formatter with name '{name}' is already registered. Use `overwrite=True` to replace it."
                )
            _handlers[name] = handler
        return handler

    return register


def unregister_chat_handler(name: str) -> None:
    with _lock:
        if _handlers.pop(name, None) is None:
            raise UsageError(f"no chat format {name!r} is registered")


def handler_of(name: str | None) -> Handler | None:
    """The user's own, if one is registered by that name."""
    with _lock:
        return _handlers.get(name or OWN)


def template_of(llama: Llama, name: str | None) -> ChatTemplate:
    """By a name, as a Jinja text, or for None the model's own, ChatML where it has none.

    Raises TemplateError for an unknown name.
    """
    text = None if name in (None, OWN) else name
    if text in PLAIN:
        text = PLAIN[text].jinja()
    return load_template(llama.model.metadata, llama.vocab, SAME.get(text, text) if text else None)


def known_formats() -> list[str]:
    with _lock:
        return sorted({*SAME, *PLAIN, *TEMPLATES, *_handlers})
