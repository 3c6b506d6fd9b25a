"""llama-cpp-python's chat handlers that read images: programs import their names and ask whether a handler is one."""

from __future__ import annotations

from typing import Any

from llamakit.errors import UsageError


class Llava15ChatHandler:
    """Cannot be made: images are not read here. Raises UsageError."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise UsageError(f"{type(self).__name__}: llamakit reads no images; leave out the chat handler")

    @classmethod
    def from_pretrained(cls, *_: Any, **__: Any) -> Llava15ChatHandler:
        return cls()


NAMES = ("MTMDChatHandler", "ObsidianChatHandler", "MoondreamChatHandler", "Llava16ChatHandler",
         "NanoLlavaChatHandler", "Llama3VisionAlphaChatHandler", "MiniCPMv26ChatHandler", "Qwen25VLChatHandler",
         "Gemma4ChatHandler")  # fmt: skip


def image_handlers() -> dict[str, type[Llava15ChatHandler]]:
    """By their names."""
    return {"Llava15ChatHandler": Llava15ChatHandler} | {name: type(name, (Llava15ChatHandler,), {}) for name in NAMES}
