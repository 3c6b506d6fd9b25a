"""The text of a model to a message, piece by piece: however it is cut, the deltas add up to the same."""

from __future__ import annotations

from collections.abc import Iterable

from llamakit.core.chat.output.arguments import ToolSet
from llamakit.core.chat.output.format import Format, ReasoningFormat
from llamakit.core.chat.output.output import Delta, Message, NewId, Output, joined, new_id
from llamakit.core.chat.output.reading import Reading
from llamakit.core.chat.output.source import Source
from llamakit.core.chat.output.tools import Tool


class Parser:
    """One message being read. `push` its text as it comes, `finish` at its end; `raw` keeps the text itself.

    starts_thinking: the prompt has left reasoning open (see Format.starts_thinking). is_streamed: matters to
    ReasoningFormat.LEGACY alone. make_id: the id of the n-th call, where the model gave none.
    """

    def __init__(
        self,
        form: Format,
        reasoning: ReasoningFormat = ReasoningFormat.AUTO,
        *,
        starts_thinking: bool = False,
        tools: Iterable[Tool] = (),
        is_streamed: bool = True,
        make_id: NewId = new_id,
    ) -> None:
        keeps = reasoning is ReasoningFormat.NONE or (reasoning is ReasoningFormat.LEGACY and is_streamed)
        self.source, self.output = Source(), Output(make_id)
        self.source.feed(form.prompt_end)
        self.steps = Reading(form, self.source, self.output, ToolSet(tools), keeps, starts_thinking).read()
        self.is_done = False
        self.deltas: list[Delta] = []
        self.texts: list[str] = []

    def push(self, text: str) -> list[Delta]:
        """What can be said for sure after more text."""
        if not text:
            return []
        self.texts.append(text)
        self.source.feed(text)
        return self.go_on()

    def finish(self) -> list[Delta]:
        """What was kept back until now. A call that is not complete stays as it is."""
        self.source.is_over = True
        return self.go_on()

    def go_on(self) -> list[Delta]:
        if not self.is_done:
            try:
                next(self.steps)
            except StopIteration:
                self.is_done = True
        deltas = self.output.drain()
        self.deltas += deltas
        return deltas

    @property
    def message(self) -> Message:
        """All that was said so far."""
        return joined(self.deltas)

    @property
    def raw(self) -> str:
        return "".join(self.texts)


def parse(
    text: str,
    form: Format,
    reasoning: ReasoningFormat = ReasoningFormat.AUTO,
    *,
    starts_thinking: bool = False,
    tools: Iterable[Tool] = (),
) -> Message:
    """The message of a whole text."""
    parser = Parser(form, reasoning, starts_thinking=starts_thinking, tools=tools, is_streamed=False)
    parser.push(text)
    parser.finish()
    return parser.message
