"""Command R7B: a JSON list between <|START_ACTION|> and <|END_ACTION|>; the answer has tags of its own."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format, Thinking
from llamakit.core.chat.output.json_calls import JsonCalls

FORMAT = Format(
    "command-r7b",
    JsonCalls(
        "<|START_ACTION|>",
        "<|END_ACTION|>",
        is_list=True,
        name_key="tool_name",
        arguments_key="parameters",
        id_key="tool_call_id",
        id_pattern="[0-9]{1,3}",
        id_is_first=True,
    ),
    Thinking("<|START_THINKING|>", "<|END_THINKING|>", ("<|START_RESPONSE|>",), ends_at_calls=True),
    dropped=("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    signs=("<|END_THINKING|><|START_ACTION|>",),
)
