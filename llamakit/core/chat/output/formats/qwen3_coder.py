"""Qwen 3 Coder and 3.5, Nemotron 3, Step 3.5: <function=NAME> and <parameter=KEY> in <tool_call>."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format, Thinking
from llamakit.core.chat.output.tagged_calls import Tag, TaggedCalls

FORMAT = Format(
    "qwen3-coder",
    TaggedCalls(
        Tag("<function=", "", ">"),
        "</function>",
        Tag("<parameter=", "", ">"),
        ("\n", "\n</parameter>"),
        section=("<tool_call>", "</tool_call>"),
        is_wrapped=True,
        bare_calls=True,
    ),
    Thinking(ends_at_calls=True),
    signs=("<tool_call>", "<function=", "<parameter="),
    not_signs=("<seed:tool_call>",),
)
