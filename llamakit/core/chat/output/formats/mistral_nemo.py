"""Mistral Nemo and its time: [TOOL_CALLS][{"name", "arguments", "id"}]."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.json_calls import JsonCalls

FORMAT = Format(
    "mistral-nemo", JsonCalls("[TOOL_CALLS]", is_list=True, id_key="id", id_is_last=True), signs=("[TOOL_CALLS]",)
)
