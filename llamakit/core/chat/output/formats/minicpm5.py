"""MiniCPM 5: <function name="..."> and <param name="...">, whose text may be CDATA."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.tagged_calls import Tag, TaggedCalls

FORMAT = Format(
    "minicpm5",
    TaggedCalls(
        Tag('<function name="', '"', ">"),
        "</function>",
        Tag('<param name="', '"', ">"),
        ("", "</param>"),
        gap="",
        has_cdata=True,
    ),
    signs=("Tool usage guidelines:", '<function name="', '<param name="'),
)
