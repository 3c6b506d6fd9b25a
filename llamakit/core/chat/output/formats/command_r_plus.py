"""Command R+: "Action:" and a JSON list in a code fence."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.json_calls import JsonCalls

FORMAT = Format(
    "command-r-plus",
    JsonCalls("Action:\n```json", "```", is_list=True, name_key="tool_name", arguments_key="parameters"),
    dropped=("<|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
    signs=("Action:", "```json", '"tool_name"'),
)
