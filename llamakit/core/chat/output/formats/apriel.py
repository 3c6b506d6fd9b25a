"""Apriel: a JSON list between <tool_calls> and </tool_calls>. MiniMax M1 writes the objects on lines."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.json_calls import JsonCalls

FORMAT = Format(
    "apriel",
    JsonCalls("<tool_calls>", "</tool_calls>", is_list=True),
    signs=("<tool_calls>[",),
)
