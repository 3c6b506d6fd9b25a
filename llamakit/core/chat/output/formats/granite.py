"""Granite 3: <|tool_call|> and a JSON list."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.json_calls import JsonCalls

FORMAT = Format(
    "granite",
    JsonCalls("<|tool_call|>", is_list=True),
    answer=("<response>", "</response>"),
    signs=("<|start_of_role|>", "<|tool_call|>"),
)
