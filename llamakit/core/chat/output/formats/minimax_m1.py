"""MiniMax M1: objects on lines between <tool_calls> and </tool_calls>."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.json_calls import JsonCalls

FORMAT = Format(
    "minimax-m1",
    JsonCalls("<tool_calls>", "</tool_calls>", is_wrapped=False),
    signs=("<tool_calls>", "<beginning_of_sentence>"),
)
