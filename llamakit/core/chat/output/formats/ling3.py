"""Ling 3, Bailing 3: as GLM 4.5; a call may come before reasoning is closed."""

from __future__ import annotations

from dataclasses import replace

from llamakit.core.chat.output.format import Thinking
from llamakit.core.chat.output.formats import glm

FORMAT = replace(
    glm.FORMAT,
    name="ling3",
    thinking=Thinking(ends_at_calls=True),
    dropped=("<|role_end|>",),
    signs=("<role>ASSISTANT</role>", "<arg_key>"),
)
