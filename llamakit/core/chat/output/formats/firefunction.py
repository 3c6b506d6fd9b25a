"""FireFunction 2:  functools[{"name", "arguments"}]."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.json_calls import JsonCalls

FORMAT = Format(
    "firefunction",
    JsonCalls(" functools", other_starts=("functools",), is_list=True),
    signs=(" functools[",),
)
