"""DeepSeek 4: as 3.2, with another name for the whole."""

from __future__ import annotations

from dataclasses import replace

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.formats.deepseek_v3_2 import CALLS, MARK, THINKING

FORMAT = Format(
    "deepseek-v4",
    replace(CALLS, section=(f"<{MARK}tool_calls>", f"</{MARK}tool_calls>")),
    THINKING,
    signs=("dsml_token", "DSML", "tool_calls"),
)
