"""DeepSeek R1: calls in code fences between marks; models misspell the first one."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.named_calls import NamedCalls

FORMAT = Format(
    "deepseek-r1",
    NamedCalls(
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
        "\n```json\n",
        ("\n```", "<｜tool▁call▁end｜>"),
        section=("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
        other_sections=("<｜tool_calls_begin｜>", "<｜tool calls begin｜>", "<｜tool\\_calls\\_begin｜>"),
    ),
    signs=("<｜tool▁calls▁begin｜>", "```json"),
)
