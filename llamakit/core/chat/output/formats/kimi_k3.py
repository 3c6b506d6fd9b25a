"""Kimi K3: everything in tags of <|open|>, <|sep|> and <|close|>; an argument says its type."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format, Thinking
from llamakit.core.chat.output.tagged_calls import Tag, TaggedCalls


def opened(tag: str) -> str:
    return f"<|open|>{tag}<|sep|>"


def closed(tag: str) -> str:
    return f"<|close|>{tag}<|sep|>"


FORMAT = Format(
    "kimi-k3",
    TaggedCalls(
        Tag('<|open|>call tool="', '"', "<|sep|>", ' index="{number}"'),
        closed("call"),
        Tag('<|open|>argument key="', '"', "<|sep|>", ' type="{type}"'),
        ("", closed("argument")),
        section=(opened("tools"), closed("tools")),
        gap="",
    ),
    Thinking(opened("think"), closed("think"), (opened("response"),), ends_at_calls=True),
    dropped=(
        opened('message role="assistant"'),
        opened("response"),
        closed("response"),
        closed("message"),
        "<|end_of_msg|>",
    ),
    signs=("<|open|>", "<|close|>", "<|end_of_msg|>"),
)
