"""Solar Open: parts after <|think|>, <|content|> and <|tool_calls|>, all closed by <|end|>."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format, Thinking
from llamakit.core.chat.output.named_calls import NamedCalls, Part

FORMAT = Format(
    "solar",
    NamedCalls(
        "<|tool_call:begin|>",
        "<|tool_call:args|>",
        ("<|tool_call:end|>",),
        section=("<|tool_calls|>", "<|end|>"),
        head=(Part.ID, "<|tool_call:name|>", Part.NAME),
    ),
    Thinking("<|think|>", "<|end|>"),
    dropped=("<|begin|>assistant", "<|content|>", "<|end|>"),
    signs=("<|tool_call:begin|>", "<|tool_call:args|>"),
)
