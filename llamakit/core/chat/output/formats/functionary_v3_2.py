"""Functionary 3.2: >>>NAME, a new line, {...}; an answer is for "all". The prompt ends with the first >>>."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.named_calls import NamedCalls

FORMAT = Format(
    "functionary-v3.2",
    NamedCalls(">>>", "\n", bare_start=True),
    dropped=(">>>all\n",),
    prompt_end=">>>",
    signs=(">>>all",),
)
