"""Chat formats by name: templates, and handlers of the user's own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llamakit.core.chat.load import load_template
from llamakit.core.chat.python_formats import OWN, template_text
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.api.llama import Llama
    from llamakit.core.chat.template import ChatTemplate

Handler = Callable[..., Any]  # (llama=..., messages=..., and all else of create_chat_completion)
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
    return load_template(llama.model.metadata, llama.vocab, template_text(name))
