"""Seed OSS: <function=NAME> and <parameter=KEY> in <seed:tool_call>."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format, Thinking
from llamakit.core.chat.output.tagged_calls import Tag, TaggedCalls

FORMAT = Format(
    "seed-oss",
    TaggedCalls(
        Tag("<function=", "", ">"),
        "</function>",
        Tag("<parameter=", "", ">"),
        ("", "</parameter>"),
        section=("<seed:tool_call>", "</seed:tool_call>"),
        is_wrapped=True,
    ),
    Thinking("<seed:think>", "</seed:think>"),
    signs=(("<seed:tool_call>", "<seed:think>"),),
)
