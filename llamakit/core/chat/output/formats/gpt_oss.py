"""gpt-oss: the harmony format, parts in the channels analysis, commentary and final; calls are for functions.NAME."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llamakit.core.chat.output.channels import Channels, Place
from llamakit.core.chat.output.format import Format, Thinking
from llamakit.core.chat.output.grammar_writer import GrammarWriter, text
from llamakit.core.chat.output.reading import Reading
from llamakit.core.chat.output.source import NotACall, Steps
from llamakit.core.grammar.rules import Sequence
from llamakit.core.grammar.triggers import Triggers

START, BODY, CHANNEL = "<|start|>assistant", "<|message|>", "<|channel|>"
THOUGHT = f"{CHANNEL}analysis"
RECIPIENT = re.compile(r" to=([^\s<]+)")
CHANNELS = re.compile(r"<\|channel\|>\s*(\w+)")
NOBODY = {"assistant", "user", "all"}


def place(header: str) -> tuple[Place, str]:
    """A call to functions.NAME; what is for another tool, as those of OpenAI's own, is not for the user either."""
    recipient = RECIPIENT.search(header)
    if recipient and recipient[1].startswith("functions."):
        return Place.CALL, recipient[1].removeprefix("functions.")
    channel = (CHANNELS.findall(header) or ["final"])[-1]
    is_other = recipient is not None and recipient[1] not in NOBODY
    return (Place.REASONING if is_other or channel == "analysis" else Place.CONTENT), ""


@dataclass(frozen=True)
class HarmonyCalls:
    """The text of a part, whose header names the tool; one call ends the message."""

    @property
    def starts(self) -> tuple[str, ...]:
        return ()

    def read(self, reading: Reading) -> Steps[None]:
        """Channels does."""
        raise NotACall
        yield

    def sequence(self, writer: GrammarWriter) -> Sequence:
        """From the header on, in which the tool may stand before or after the channel."""
        channel = writer.pattern(r"<\|channel\|>(?:commentary|analysis)")
        json = writer.pattern(r"(?: (?:<\|constrain\|>)?json)?")
        tools = writer.each_tool(lambda tool: (text(tool.tool.name), channel, json, text(BODY), writer.json(tool)))
        others = writer.each_tool(lambda tool: (text(tool.tool.name), json, text(BODY), writer.json(tool)))
        to = text(" to=functions.")
        return (writer.rule("call", (to, tools), (channel, to, others)),)

    def triggers(self, writer: GrammarWriter) -> Triggers:
        header = r"((?:<\|channel\|>(?:commentary|analysis))? to=functions\.)"
        return Triggers(patterns=(f"^{header}", rf"<\|start\|>assistant{header}"))


FORMAT = Format(
    "gpt-oss",
    HarmonyCalls(),
    Thinking(f"{THOUGHT}{BODY}", "<|end|>"),
    turn=Channels(START, BODY, ("<|end|>", "<|call|>", "<|return|>"), (CHANNEL, " to="), place, True, THOUGHT),
    signs=(CHANNEL,),
)
