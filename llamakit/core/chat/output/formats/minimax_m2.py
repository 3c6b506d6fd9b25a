"""MiniMax M2: invoke and parameter tags in <minimax:tool_call>."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.tagged_calls import Tag, TaggedCalls

FORMAT = Format(
    "minimax-m2",
    TaggedCalls(
        Tag('<invoke name="', '"', ">"),
        "</invoke>",
        Tag('<parameter name="', '"', ">"),
        ("", "</parameter>"),
        section=("<minimax:tool_call>", "</minimax:tool_call>"),
    ),
    signs=("<minimax:tool_call>",),
)
