"""Gemma 4: calls in its own notation; thoughts in a channel, which may come again."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format, Thinking
from llamakit.core.chat.output.gemma_calls import GemmaCalls

FORMAT = Format(
    "gemma4",
    GemmaCalls(),
    Thinking("<|channel>thought", "<channel|>", is_anywhere=True),
    dropped=("<|channel>", "<channel|>"),
    signs=("'<|tool_call>call:'",),
)
