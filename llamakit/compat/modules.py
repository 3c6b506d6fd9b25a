"""The modules that stand for llama-cpp-python's, by what they hold."""

from __future__ import annotations

import ctypes
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

from llamakit.api.cache import BaseLlamaCache, LlamaCache, LlamaDiskCache, LlamaRAMCache
from llamakit.api.chat_formats import Handler, register_chat_completion_handler
from llamakit.api.drafts import LlamaDraftModel, LlamaPromptLookupDecoding
from llamakit.api.drawing import (
    Criterion,
    LogitsProcessorList,
    MinTokensLogitsProcessor,
    Processor,
    StoppingCriteriaList,
)
from llamakit.api.state import LlamaState
from llamakit.api.tokenizers import BaseLlamaTokenizer, LlamaHFTokenizer, LlamaTokenizer
from llamakit.compat import answer_types, hf_formats, model_templates, request_types, sample_grammars
from llamakit.compat.batches import LlamaBatch
from llamakit.compat.c_api import adapters, chats, contexts, models, quantizing, samplers, states, system, vocabs
from llamakit.compat.c_api.types import TYPES
from llamakit.compat.candidates import (
    LlamaSamplingContext,
    LlamaSamplingParams,
    LlamaTokenDataArray,
    normalize_embedding,
)
from llamakit.compat.chat_format import (
    ChatFormatterResponse,
    Formatter,
    Jinja2ChatFormatter,
    Registry,
    get_chat_completion_handler,
    handler_of,
    register_chat_format,
)
from llamakit.compat.constants import constants
from llamakit.compat.contexts import LlamaContext
from llamakit.compat.grammars import JSON_GBNF, LLAMA_GRAMMAR_DEFAULT_ROOT, LlamaGrammar, json_schema_to_gbnf
from llamakit.compat.image_handlers import image_handlers
from llamakit.compat.internals import LlamaModel
from llamakit.compat.llama import Llama
from llamakit.compat.named_formats import formatters
from llamakit.compat.named_handlers import named_handlers
from llamakit.compat.quiet import logger, set_verbose, suppress_stdout_stderr
from llamakit.compat.samplers import LlamaSampler
from llamakit.core.chat.errors import TemplateError

VERSION = "0.3.36"  # whose names these are

LLAMA = {
    "Llama": Llama,
    "LlamaState": LlamaState,
    "LogitsProcessor": Processor,
    "LogitsProcessorList": LogitsProcessorList,
    "MinTokensLogitsProcessor": MinTokensLogitsProcessor,
    "StoppingCriteria": Criterion,
    "StoppingCriteriaList": StoppingCriteriaList,
}
GRAMMAR: dict[str, Any] = {"LlamaGrammar": LlamaGrammar}
TEXTS = {
    "JSON_GBNF": JSON_GBNF,
    "json_schema_to_gbnf": json_schema_to_gbnf,
    "LLAMA_GRAMMAR_DEFAULT_ROOT": LLAMA_GRAMMAR_DEFAULT_ROOT,
    **{name: text for name, text in vars(sample_grammars).items() if name.endswith("_GBNF")},
}
CACHE = {
    "BaseLlamaCache": BaseLlamaCache,
    "LlamaCache": LlamaCache,
    "LlamaRAMCache": LlamaRAMCache,
    "LlamaDiskCache": LlamaDiskCache,
}
SPECULATIVE = {"LlamaDraftModel": LlamaDraftModel, "LlamaPromptLookupDecoding": LlamaPromptLookupDecoding}
TOKENIZER = {
    "BaseLlamaTokenizer": BaseLlamaTokenizer,
    "LlamaTokenizer": LlamaTokenizer,
    "LlamaHFTokenizer": LlamaHFTokenizer,
}
CHAT_FORMAT = {
    "register_chat_completion_handler": register_chat_completion_handler,
    "register_chat_format": register_chat_format,
    "get_chat_completion_handler": get_chat_completion_handler,
    "chat_formatter_to_chat_completion_handler": handler_of,
    "LlamaChatCompletionHandlerNotFoundException": TemplateError,
    "LlamaChatCompletionHandlerRegistry": Registry,
    "ChatFormatterResponse": ChatFormatterResponse,
    "Jinja2ChatFormatter": Jinja2ChatFormatter,
    "ChatFormatter": Formatter,
    "LlamaChatCompletionHandler": Handler,
    "hf_tokenizer_config_to_chat_formatter": hf_formats.hf_tokenizer_config_to_chat_formatter,
    "hf_tokenizer_config_to_chat_completion_handler": hf_formats.hf_tokenizer_config_to_chat_completion_handler,
    "hf_autotokenizer_to_chat_formatter": hf_formats.hf_autotokenizer_to_chat_formatter,
    "hf_autotokenizer_to_chat_completion_handler": hf_formats.hf_autotokenizer_to_chat_completion_handler,
    "guess_chat_format_from_gguf_metadata": hf_formats.guess_chat_format_from_gguf_metadata,
    **formatters(),
    **named_handlers(),
    **image_handlers(),
    **model_templates.texts(),
}
INTERNALS = {
    "LlamaModel": LlamaModel,
    "LlamaContext": LlamaContext,
    "LlamaBatch": LlamaBatch,
    "LlamaSampler": LlamaSampler,
    "LlamaTokenDataArray": LlamaTokenDataArray,
    "LlamaSamplingParams": LlamaSamplingParams,
    "LlamaSamplingContext": LlamaSamplingContext,
    "normalize_embedding": normalize_embedding,
}
SHAPES = {
    name: shape
    for part in (answer_types, request_types)
    for name, shape in vars(part).items()
    if name.startswith(("Chat", "Completion", "Create", "Embedding", "Json"))
}
C_LIBRARY = SimpleNamespace(llama_tokenize=vocabs.tokenize_for_c)  # for C code that is given a function's address


def functions() -> dict[str, Any]:
    """llama.h's, by name."""
    parts = (system, models, vocabs, contexts, states, adapters, chats, samplers, quantizing)
    return {name: value for part in parts for name, value in vars(part).items() if name.startswith("llama_")}


def install() -> None:
    """Let `import llama_cpp` find these; nothing happens where it was imported already."""
    if "llama_cpp" in sys.modules:
        return
    low: dict[str, Any] = {**constants(), **functions(), **TYPES, "ctypes": ctypes, "_lib": C_LIBRARY}
    parts: dict[str, dict[str, Any]] = {
        "llama": LLAMA | GRAMMAR, "llama_grammar": GRAMMAR | TEXTS, "llama_cache": CACHE,
        "llama_speculative": SPECULATIVE,
        "llama_tokenizer": TOKENIZER, "llama_chat_format": CHAT_FORMAT, "llama_types": SHAPES, "llama_cpp": low,
        "_internals": INTERNALS, "_utils": {"suppress_stdout_stderr": suppress_stdout_stderr},
        "_logger": {"logger": logger, "set_verbose": set_verbose},
    }  # fmt: skip
    everything: dict[str, Any] = LLAMA | GRAMMAR | CACHE | SPECULATIVE | TOKENIZER | CHAT_FORMAT | SHAPES | low
    package = module("llama_cpp", everything | {"__version__": VERSION, "__path__": []})
    for name, members in parts.items():
        setattr(package, name, module(f"llama_cpp.{name}", members))


def module(name: str, members: dict[str, Any]) -> ModuleType:
    made = ModuleType(name, "llamakit in the place of llama-cpp-python.")
    made.__spec__ = ModuleSpec(name, None, is_package="__path__" in members)  # programs look whether there is one
    made.__dict__.update(members)
    sys.modules[name] = made
    return made
