"""Calls of a name, a mark, and the arguments as JSON: <function=NAME>{...}</function>, [TOOL_CALLS]NAME[ARGS]{...}."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from llamakit.core.chat.output.arguments import Arguments
from llamakit.core.chat.output.grammar_writer import GrammarWriter, quoted, text
from llamakit.core.chat.output.notation import read_arguments
from llamakit.core.chat.output.reading import Reading
from llamakit.core.chat.output.source import NotACall, Steps
from llamakit.core.grammar.rules import Sequence, Symbol
from llamakit.core.grammar.triggers import Triggers


class Part(Enum):
    """What stands between the fixed texts of a head: how it is read, and how it is written."""

    NAME = (r"(?P<name>[\w.-]+)", "")
    ID = (r"(?P<id>[\w.-]+)", r"[A-Za-z0-9]{9}")
    NUMBER = (r"\d+", r"[0-9]{1,6}")


@dataclass(frozen=True)
class NamedCalls:
    """Each call is `start`, the parts of its head, `between`, JSON, `end`; all may stand between `section` marks.

    other_sections: misspelled beginnings. head_is_id: the whole head is the call's id. ends: what may follow the
    arguments, each once; blanks may be between them. bare_start: the prompt ends with the start of the first call.
    """

    start: str
    between: str
    ends: tuple[str, ...] = ()
    section: tuple[str, str] = ("", "")
    other_sections: tuple[str, ...] = ()
    head: tuple[str | Part, ...] = (Part.NAME,)
    head_is_id: bool = False
    bare_start: bool = False

    @property
    def starts(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.section[0], *self.other_sections, self.start)))

    @cached_property
    def head_pattern(self) -> re.Pattern[str]:
        return re.compile("".join(p.value[0] if isinstance(p, Part) else re.escape(p) for p in self.head))

    # reading
    def read(self, reading: Reading) -> Steps[None]:
        source = reading.source
        if self.section[0]:
            yield from source.take(*self.starts[:-1])
            yield from source.blanks()
        yield from self.read_call(reading)
        while True:
            source.keep()
            yield from source.blanks()
            if self.section[1] and (yield from source.take(self.section[1])):
                source.release()
                return
            if not (yield from source.comes(self.start)):
                source.go_back()
                return
            yield from self.read_call(reading)

    def read_call(self, reading: Reading) -> Steps[None]:
        source = reading.source
        if not (yield from source.take(self.start)):
            raise NotACall
        head = yield from source.until(self.between.strip() or self.between)
        found = self.head_pattern.fullmatch(head.strip())
        if not found:
            raise NotACall
        yield from source.take(self.between.strip() or self.between)
        yield from source.blanks()
        if not (yield from source.comes("{", '"')):
            raise NotACall
        call_id = head.strip() if self.head_is_id else found.groupdict().get("id", "")
        reading.begin_call(found["name"], call_id)
        yield from read_arguments(source, reading.output.arguments)
        source.keep()
        for end in self.ends:
            yield from source.blanks()
            if (yield from source.take(end.strip())):
                source.keep()
        source.go_back()

    # writing
    def sequence(self, writer: GrammarWriter) -> Sequence:
        call = writer.each_tool(lambda arguments: self.call(writer, arguments))
        calls = writer.list_of(writer.rule("call", (text(self.start), call)), writer.pattern(r"\n?"))
        if self.bare_start:
            return (call, *calls[1:])
        if self.section[0]:
            start = writer.one_of("", self.section[0], *self.other_sections)
            return (start, *calls, writer.optional(text(self.section[1])))
        return calls

    def call(self, writer: GrammarWriter, arguments: Arguments) -> Sequence:
        head: list[Symbol] = []
        for part in self.head:
            if part is Part.NAME:
                head.append(text(arguments.tool.name))
            elif isinstance(part, Part):
                head.append(writer.pattern(part.value[1]))
            else:
                head.append(text(part))
        return (*head, text(self.between), writer.json(arguments), text("".join(self.ends)))

    def triggers(self, writer: GrammarWriter) -> Triggers:
        if not self.bare_start:
            return Triggers(words=self.starts)
        names = "|".join(map(quoted, writer.names))
        between = quoted(self.between)
        return Triggers(patterns=(f"^((?:{names}){between})", f"{quoted(self.start)}((?:{names}){between})"))
