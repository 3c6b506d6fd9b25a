"""Mistral Small 3.2: [TOOL_CALLS]NAME[CALL_ID]ID[ARGS]{...}."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.named_calls import NamedCalls, Part

FORMAT = Format(
    "mistral-small",
    NamedCalls("[TOOL_CALLS]", "[ARGS]", head=(Part.NAME, "[CALL_ID]", Part.ID)),
    signs=("[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"),
)
