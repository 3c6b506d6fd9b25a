"""GigaChat 3.1: <|function_call|>{"name", "arguments"}."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.json_calls import JsonCalls

FORMAT = Format(
    "gigachat-v3.1",
    JsonCalls("<|function_call|>"),
    dropped=("<|message_sep|>",),
    signs=("<|role_sep|>", "<|function_call|>"),
)
