"""GigaChat 3: a message of a "function call", with {"name", "arguments"}."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.json_calls import JsonCalls

FORMAT = Format(
    "gigachat-v3",
    JsonCalls("<|message_sep|>\n\nfunction call<|role_sep|>"),
    dropped=("<|message_sep|>",),
    signs=("<|role_sep|>", "<|message_sep|>"),
    not_signs=("<|function_call|>",),
)
