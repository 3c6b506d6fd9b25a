"""DeepSeek 3.1: NAME, a mark, {...} between marks."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.named_calls import NamedCalls

FORMAT = Format(
    "deepseek-v3.1",
    NamedCalls(
        "<｜tool▁call▁begin｜>",
        "<｜tool▁sep｜>",
        ("<｜tool▁call▁end｜>",),
        section=("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
    ),
    signs=("<｜tool▁calls▁begin｜>",),
    not_signs=("```json",),
)
