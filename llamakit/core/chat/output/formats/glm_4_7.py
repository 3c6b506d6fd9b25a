"""GLM 4.7, Spark 2.5: as GLM 4.5 without lines."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.tagged_calls import Tag, TaggedCalls

FORMAT = Format(
    "glm-4.7",
    TaggedCalls(
        Tag("<tool_call>", "", ""),
        "</tool_call>",
        Tag("<arg_key>", "", "</arg_key>"),
        ("<arg_value>", "</arg_value>"),
        gap="",
    ),
    signs=("<tool_call>", "</arg_key><arg_value>"),
)
