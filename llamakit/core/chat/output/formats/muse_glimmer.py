"""Muse Glimmer: parts for a recipient, self, user or a tool; calls as invoke and parameter tags."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llamakit.core.chat.output.arguments import Arguments
from llamakit.core.chat.output.channels import Channels, Place
from llamakit.core.chat.output.format import Format, Thinking
from llamakit.core.chat.output.grammar_writer import GrammarWriter, quoted, text
from llamakit.core.chat.output.tagged_calls import Tag, TaggedCalls
from llamakit.core.grammar.rules import Sequence
from llamakit.core.grammar.triggers import Triggers

START, BODY, END = "<|start|>assistant", "<|message|>", "<|eom|>"
RECIPIENT = re.compile(r" to=([^<]*)")


def place(header: str) -> tuple[Place, str]:
    recipient = RECIPIENT.search(header)
    name = recipient[1].strip() if recipient else "user"
    return {"self": Place.REASONING, "user": Place.CONTENT}.get(name, Place.CALL), name


@dataclass(frozen=True)
class GlimmerCalls(TaggedCalls):
    """Tags, in a part of their own for each call."""

    def sequence(self, writer: GrammarWriter) -> Sequence:
        one = writer.each_tool(lambda arguments: self.part(writer, arguments))
        return writer.list_of(one, text(END + START))

    def part(self, writer: GrammarWriter, arguments: Arguments) -> Sequence:
        start, end = (text(mark) for mark in self.section)
        written = self.written(writer, arguments)
        return (text(f" to={arguments.tool.name}{BODY}"), start, text("\n"), *written, text("\n"), end)

    def triggers(self, writer: GrammarWriter) -> Triggers:
        header = f"( to=(?:{'|'.join(map(quoted, writer.names))}){quoted(BODY)})"
        return Triggers(patterns=(f"^{header}", quoted(START) + header))


CALLS = GlimmerCalls(
    Tag('<atem:invoke name="', '"', ">"),
    "</atem:invoke>",
    Tag('<atem:parameter name="', '"', ">"),
    ("", "</atem:parameter>"),
    section=("<atem:function_calls>", "</atem:function_calls>"),
)
FORMAT = Format(
    "muse-glimmer",
    CALLS,
    Thinking(" to=self" + BODY, END),
    turn=Channels(START, BODY, (END, "<|eot|>"), (" to=",), place, False, " to=self"),
    signs=("<atem:function_calls>", END),
)
