"""Kimi K2: functions.NAME:NUMBER, which is the id too, and {...}; models leave out marks."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format, Thinking
from llamakit.core.chat.output.named_calls import NamedCalls, Part

FORMAT = Format(
    "kimi-k2",
    NamedCalls(
        "<|tool_call_begin|>",
        "<|tool_call_argument_begin|>",
        ("<|tool_call_end|>",),
        section=("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"),
        head=("functions.", Part.NAME, ":", Part.NUMBER),
        head_is_id=True,
    ),
    Thinking(ends_at_calls=True),
    signs=("<|tool_calls_section_begin|>", "<|tool_call_begin|>"),
)
