"""Nemotron Nano 2: a JSON list between <TOOLCALL> and </TOOLCALL>."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.json_calls import JsonCalls

FORMAT = Format("nemotron-nano", JsonCalls("<TOOLCALL>", "</TOOLCALL>", is_list=True), signs=("<TOOLCALL>",))
