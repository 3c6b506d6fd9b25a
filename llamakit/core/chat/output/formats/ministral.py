"""Ministral 3, Mistral Large 3, Devstral: [TOOL_CALLS]NAME[ARGS]{...}."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.named_calls import NamedCalls

FORMAT = Format(
    "ministral",
    NamedCalls("[TOOL_CALLS]", "[ARGS]"),
    signs=("[SYSTEM_PROMPT]", "[TOOL_CALLS]", "[ARGS]"),
    not_signs=("[CALL_ID]",),
)
