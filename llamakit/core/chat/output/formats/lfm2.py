"""LFM 2 and 2.5: Python calls in a list between marks."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.python_calls import PythonCalls

FORMAT = Format(
    "lfm2",
    PythonCalls("<|tool_call_start|>", "<|tool_call_end|>"),
    signs=(("<|tool_list_start|>", "List of tools: ["),),
)
