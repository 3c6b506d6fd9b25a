"""Hunyuan 3: NAME, a mark, pairs of keys and values in tags, all of whose names have a suffix."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format, Thinking
from llamakit.core.chat.output.tagged_calls import Tag, TaggedCalls

SUFFIX = ":opensource"
FORMAT = Format(
    "hunyuan-3",
    TaggedCalls(
        Tag(f"<tool_call{SUFFIX}>", "", f"<tool_sep{SUFFIX}>"),
        f"</tool_call{SUFFIX}>",
        Tag(f"<arg_key{SUFFIX}>", "", f"</arg_key{SUFFIX}>"),
        (f"\n<arg_value{SUFFIX}>", f"</arg_value{SUFFIX}>"),
        section=(f"<tool_calls{SUFFIX}>", f"</tool_calls{SUFFIX}>"),
    ),
    Thinking(f"<think{SUFFIX}>", f"</think{SUFFIX}>"),
    signs=(SUFFIX, "toolcall_begin_token"),
)
