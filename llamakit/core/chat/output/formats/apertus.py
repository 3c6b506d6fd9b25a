"""Apertus: a list of {NAME: {...}} between <|tools_prefix|> and <|tools_suffix|>."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format, Thinking
from llamakit.core.chat.output.json_calls import JsonCalls

FORMAT = Format(
    "apertus",
    JsonCalls("<|tools_prefix|>", "<|tools_suffix|>", is_list=True, name_is_key=True),
    Thinking("<|inner_prefix|>", "<|inner_suffix|>"),
    signs=("<|tools_prefix|>", "<|tools_suffix|>"),
)
