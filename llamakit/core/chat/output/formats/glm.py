"""GLM 4.5 and 4.6, Laguna: <tool_call>NAME, then pairs of <arg_key> and <arg_value> on lines."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.tagged_calls import Tag, TaggedCalls

FORMAT = Format(
    "glm-4.5",
    TaggedCalls(
        Tag("<tool_call>", "", ""),
        "</tool_call>",
        Tag("<arg_key>", "", "</arg_key>"),
        ("\n<arg_value>", "</arg_value>"),
    ),
    signs=("<tool_call>", "<arg_key>"),
)
