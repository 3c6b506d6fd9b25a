"""llama.cpp's toolbox in readable Python. Public names are imported when first used, so `import llamakit` is free."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llamakit.api.async_llama import AsyncLlama
    from llamakit.api.cache import LlamaDiskCache, LlamaRAMCache
    from llamakit.api.grammar import LlamaGrammar
    from llamakit.api.llama import Llama
    from llamakit.core.chat.template import ChatTemplate
    from llamakit.core.gguf.reader import GGUFReader
    from llamakit.core.gguf.writer import GGUFWriter
    from llamakit.errors import GGUFError, LlamakitError

__version__ = "0.1.0"

__all__ = [
    "AsyncLlama",
    "ChatTemplate",
    "GGUFError",
    "GGUFReader",
    "GGUFWriter",
    "Llama",
    "LlamaDiskCache",
    "LlamaGrammar",
    "LlamaRAMCache",
    "LlamakitError",
    "__version__",
]

_HOMES = {
    "AsyncLlama": "llamakit.api.async_llama",
    "LlamaDiskCache": "llamakit.api.cache",
    "LlamaRAMCache": "llamakit.api.cache",
    "ChatTemplate": "llamakit.core.chat.template",
    "GGUFReader": "llamakit.core.gguf.reader",
    "GGUFWriter": "llamakit.core.gguf.writer",
    "GGUFError": "llamakit.errors",
    "Llama": "llamakit.api.llama",
    "LlamaGrammar": "llamakit.api.grammar",
    "LlamakitError": "llamakit.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
