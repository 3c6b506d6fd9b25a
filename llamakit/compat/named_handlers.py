"""Chat handlers that programs import by name: those of formats with tools."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from llamakit.compat.chat_format import Messages, get_chat_completion_handler

if TYPE_CHECKING:
    from llamakit.api.llama import Llama

HANDLERS = {
    "functionary_chat_handler": "functionary",
    "functionary_v1_v2_chat_handler": "functionary-v2",
    "chatml_function_calling": "chatml-function-calling",
}  # and the formats they chat in


def chat_as(name: str, llama: Llama, messages: Messages, **options: Any) -> Any:
    """What `create_chat_completion` answers in this format."""
    return get_chat_completion_handler(name)(llama=llama, messages=messages, **options)


def named_handlers() -> dict[str, Callable[..., Any]]:
    """By their names."""
    return {handler: partial(chat_as, name) for handler, name in HANDLERS.items()}
