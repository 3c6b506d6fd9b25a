"""DeepSeek 3.2: invoke and parameter tags of the DSML; a parameter says whether it is a string."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format, Thinking
from llamakit.core.chat.output.tagged_calls import Tag, TaggedCalls

MARK = "｜DSML｜"
THINKING = Thinking(ends_at_calls=True)
CALLS = TaggedCalls(
    Tag(f'<{MARK}invoke name="', '"', ">"),
    f"</{MARK}invoke>",
    Tag(f'<{MARK}parameter name="', '"', ">", ' string="{is_string}"'),
    ("", f"</{MARK}parameter>"),
    section=(f"<{MARK}function_calls>", f"</{MARK}function_calls>"),
)
FORMAT = Format("deepseek-v3.2", CALLS, THINKING, signs=("dsml_token", "DSML", "function_calls"))
