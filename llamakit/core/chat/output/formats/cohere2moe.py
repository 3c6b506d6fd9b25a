"""Cohere 2 MoE: as Command R7B, the answer between <|START_TEXT|> and <|END_TEXT|>."""

from __future__ import annotations

from dataclasses import replace

from llamakit.core.chat.output.format import Thinking
from llamakit.core.chat.output.formats import command_r7b

FORMAT = replace(
    command_r7b.FORMAT,
    name="cohere2moe",
    thinking=Thinking("<|START_THINKING|>", "<|END_THINKING|>", ("<|START_TEXT|>",), ends_at_calls=True),
    dropped=("<|START_TEXT|>", "<|END_TEXT|>", "<|END_OF_TURN_TOKEN|>"),
    signs=("<|START_TEXT|>", "<|START_ACTION|>"),
)
