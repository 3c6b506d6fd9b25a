"""Hermes 2 Pro and 3, Qwen 2.5 and 3, Granite 4, Bielik, MiMo: <tool_call>{"name", "arguments"}</tool_call>."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.json_calls import JsonCalls

FORMAT = Format("hermes", JsonCalls("<tool_call>", "</tool_call>"), signs=("<tool_call>",))
