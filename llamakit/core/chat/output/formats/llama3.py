"""Llama 3.x: {"name", "parameters"} and nothing around it; <|python_tag|>NAME.call(...) for tools that are built in."""

from __future__ import annotations

from llamakit.core.chat.output.code_calls import CodeCalls
from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.json_calls import JsonCalls

FORMAT = Format(
    "llama3",
    CodeCalls(JsonCalls(arguments_key="parameters"), is_called=True),
    signs=("<|start_header_id|>ipython<|end_header_id|>",),
)
