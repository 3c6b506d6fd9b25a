"""Functionary 3.1: <function=NAME>{...}</function>, and <|python_tag|> before code."""

from __future__ import annotations

from llamakit.core.chat.output.code_calls import CodeCalls
from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.named_calls import NamedCalls

FORMAT = Format(
    "functionary-v3.1",
    CodeCalls(NamedCalls("<function=", ">", ("</function>",)), is_called=False),
    signs=("<|start_header_id|>", "<function="),
)
