"""The functions `format_llama2`, `format_chatml` and so on of llama-cpp-python: from messages to a prompt."""

from __future__ import annotations

from functools import partial
from typing import Any

from llamakit.compat.chat_format import ChatFormatterResponse, Formatter, Messages
from llamakit.core.chat.named import TEMPLATES, named
from llamakit.core.chat.python_formats import template_text
from llamakit.core.chat.template import ChatTemplate

# What ends an answer, where the end of the text may not.
STOPS = {
    "llama-3": "<|eot_id|>", "qwen": "<|im_end|>", "chatml": "<|im_end|>", "redpajama-incite": "<human>",
    "snoozy": "###", "open-orca": "User", "zephyr": "</s>", "pygmalion": "\n", "mistral-instruct": "</s>",
    "chatglm3": "</s>", "openchat": "<|end_of_turn|>", "gemma": "<end_of_turn>",
}  # fmt: skip
FUNCTIONS = {
    "format": "vicuna", "format_llama2": "llama-2", "format_llama3": "llama-3", "format_baichuan2": "baichuan-2",
    "format_oasst_llama": "oasst_llama",
    **{f"format_{name.replace('-', '_')}": name for name in (
        "alpaca", "qwen", "baichuan", "openbuddy", "redpajama-incite", "snoozy", "phind", "intel", "open-orca",
        "mistrallite", "zephyr", "pygmalion", "chatml", "mistral-instruct", "chatglm3", "openchat", "saiga", "gemma",
    )},
}  # fmt: skip


def format_as(name: str, messages: Messages, **_: Any) -> ChatFormatterResponse:
    """The prompt for an answer; the BOS token is not in it."""
    text = template_text(name) or name
    template = ChatTemplate(named(text) if text in TEMPLATES else text)
    return ChatFormatterResponse(template.render([dict(message) for message in messages]), STOPS.get(name))


def formatters() -> dict[str, Formatter]:
    """By their names."""
    return {function: partial(format_as, name) for function, name in FUNCTIONS.items()}
