"""llama-cpp-python's ways from a Hugging Face tokenizer to a chat format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llamakit.compat.chat_format import ChatFormatterResponse, Formatter, Messages, handler_of
from llamakit.core.chat.detect import detect
from llamakit.core.chat.template import ChatTemplate
from llamakit.errors import UsageError

GUESSES = {"chatml": "chatml", "llama3": "llama-3", "mistral-v1": "mistral-instruct"}  # from our names


def hf_tokenizer_config_to_chat_formatter(
    tokenizer_config: Mapping[str, Any], add_generation_prompt: bool = True
) -> Formatter:
    """From the contents of `tokenizer_config.json`; as in llama-cpp-python, an empty answer opens the next one.

    Raises UsageError where a text is missing.
    """
    texts = {name: tokenizer_config.get(name) for name in ("chat_template", "bos_token", "eos_token")}
    if missing := [name for name, text in texts.items() if not isinstance(text, str)]:
        raise UsageError(f"tokenizer_config: {missing[0]} is no text")
    bos, eos = str(texts["bos_token"]), str(texts["eos_token"])
    template = ChatTemplate(str(texts["chat_template"]), bos_token=bos, eos_token=eos)

    def formatter(messages: Messages, **options: Any) -> ChatFormatterResponse:
        said = [dict(message) for message in messages]
        if add_generation_prompt:
            said.append({"role": "assistant", "content": ""})
        prompt = template.render(said, add_generation_prompt=False, **options)
        return ChatFormatterResponse(prompt, [eos, bos], added_special=True)

    return formatter


def hf_tokenizer_config_to_chat_completion_handler(
    tokenizer_config: Mapping[str, Any], add_generation_prompt: bool = True
) -> Callable[..., Any]:
    return handler_of(hf_tokenizer_config_to_chat_formatter(tokenizer_config, add_generation_prompt))


def hf_autotokenizer_to_chat_formatter(pretrained_model_name_or_path: str | Path) -> Formatter:
    """By the package transformers. Raises UsageError where it is not installed."""
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise UsageError("this chat format needs the package transformers: pip install transformers") from None
    tokenizer = AutoTokenizer.from_pretrained(pretrained_model_name_or_path)

    def formatter(messages: Messages, **options: Any) -> ChatFormatterResponse:
        prompt = tokenizer.apply_chat_template([*messages], tokenize=False, **options)
        return ChatFormatterResponse(prompt, tokenizer.eos_token, added_special=True)

    return formatter


def hf_autotokenizer_to_chat_completion_handler(pretrained_model_name_or_path: str | Path) -> Callable[..., Any]:
    return handler_of(hf_autotokenizer_to_chat_formatter(pretrained_model_name_or_path))


def guess_chat_format_from_gguf_metadata(metadata: Mapping[str, str]) -> str | None:
    """The name of the format that a model's own template is; None for others."""
    return GUESSES.get(detect(metadata.get("tokenizer.chat_template", "")) or "")
