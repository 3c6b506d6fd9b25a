"""A message being read: the source, what comes out of it, and the order of its parts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llamakit.core.chat.output.arguments import ToolSet
from llamakit.core.chat.output.format import THINK, Format
from llamakit.core.chat.output.output import Output
from llamakit.core.chat.output.source import Cut, NotACall, Source, Steps, markers

NAME = re.compile(r"[\w.-]+")


@dataclass
class Reading:
    """One message on its way from text to parts. keeps_reasoning: it stays in the content, tags and all."""

    format: Format
    source: Source
    output: Output
    tools: ToolSet
    keeps_reasoning: bool = False
    starts_thinking: bool = False

    def content(self, text: str) -> None:
        self.output.content.push(text)

    def thought(self, text: str) -> None:
        (self.output.content if self.keeps_reasoning else self.output.reasoning).push(text)

    def check_name(self, name: str, is_known: bool = False) -> None:
        if not NAME.fullmatch(name) or (is_known and not self.tools.has(name)):
            raise NotACall

    def begin_call(self, name: str, call_id: str = "", is_known: bool = False) -> None:
        """From here on it is a call. Raises NotACall if the name is none, or unknown where it must not be."""
        self.check_name(name, is_known)
        self.source.release()
        self.output.begin_call(name, call_id)

    def read(self) -> Steps[None]:
        if self.format.turn is not None:
            yield from self.format.turn.read(self)
        else:
            yield from read_message(self)
        self.output.finish()

    def read_calls(self) -> Steps[bool]:
        """Calls, the source being at a start of them. False if they are none: then nothing has been read."""
        assert self.format.calls is not None
        n_calls = self.output.n_calls
        self.source.keep()
        try:
            yield from self.format.calls.read(self)
        except NotACall as error:
            self.recover(error)
        self.source.release()
        return self.output.n_calls > n_calls

    def recover(self, error: NotACall) -> bool:
        """After what is no call: True if the source is back where it was kept. Half a mark at the end is dropped."""
        is_back = self.source.go_back()
        if isinstance(error, Cut) and not is_back:
            self.source.move(len(self.source.text) - self.source.at)
        return is_back


def read_message(reading: Reading) -> Steps[None]:
    """Reasoning first, then content and calls."""
    source, form = reading.source, reading.format
    thinking = form.thinking or THINK
    dropped = form.dropped
    if (yield from read_opening(reading)) and form.answer[0]:
        yield from source.blanks(reading.content)
        if (yield from source.take(form.answer[0])):
            dropped += (form.answer[1],)
    starts = form.calls.starts if form.calls else ()
    if form.calls and not form.is_lazy:
        yield from source.blanks(reading.content)
        if (yield from source.comes(*starts)):
            yield from reading.read_calls()
        starts = ()
    again = (thinking.start,) if thinking.is_anywhere else ()
    sought = markers(*starts, *dropped, *again)
    while True:
        found = yield from source.stream(sought, reading.content)
        if not found:
            return
        if found in starts:
            is_prompt = bool(form.prompt_end) and reading.output.is_empty
            if not (yield from reading.read_calls()):
                mark = source.move(len(found))
                reading.content("" if is_prompt else mark)
        elif found in again:
            yield from read_reasoning(reading)
        else:
            source.move(len(found))


def read_opening(reading: Reading) -> Steps[bool]:
    """Reasoning, if the message begins with it: whether it does. An end tag alone means that there was none."""
    source, thinking = reading.source, reading.format.thinking or THINK
    if reading.starts_thinking:
        yield from read_reasoning(reading, is_open=True)
        return True
    yield from source.blanks(reading.content)
    found = yield from source.comes(thinking.start, thinking.end)
    if not found:
        return False
    reading.output.content.drop()
    if found == thinking.start:
        yield from read_reasoning(reading)
    else:
        end_reasoning(reading, source.move(len(found)))
    return True


def read_reasoning(reading: Reading, is_open: bool = False) -> Steps[None]:
    """Reasoning with its tags, up to the end tag or what else ends it; `is_open`: the start tag was in the prompt."""
    source, form = reading.source, reading.format
    thinking = form.thinking or THINK
    reading.output.reasoning.skips = not reading.keeps_reasoning
    if is_open:
        yield from source.blanks(reading.thought)
    if (yield from source.comes(thinking.start)):
        tag = source.move(len(thinking.start))
        if reading.keeps_reasoning:
            reading.thought(tag)
    starts = form.calls.starts if form.calls and thinking.ends_at_calls else ()
    sought = markers(thinking.end, *thinking.others, *starts)
    while True:
        found = yield from source.stream(sought, reading.thought)
        if found in starts and found:
            if (yield from reading.read_calls()):
                break
            reading.thought(source.move(len(found)))
            continue
        end_reasoning(reading, source.move(len(found)) if found == thinking.end else "")
        break


def end_reasoning(reading: Reading, tag: str) -> None:
    """Blanks around the end are dropped, where reasoning is taken apart."""
    if reading.keeps_reasoning:
        reading.content(tag)
    else:
        reading.output.reasoning.drop()
        reading.output.content.skips = True
