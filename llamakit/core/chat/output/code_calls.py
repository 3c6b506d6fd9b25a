"""Calls after <|python_tag|>: NAME.call(key="value"), or just code; beside another kind of calls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from llamakit.core.chat.output.arguments import Arguments
from llamakit.core.chat.output.format import Calls
from llamakit.core.chat.output.grammar_writer import GrammarWriter, text
from llamakit.core.chat.output.notation import JSON, escaped, read_value
from llamakit.core.chat.output.python_calls import python_arguments, read_python_arguments
from llamakit.core.chat.output.reading import Reading
from llamakit.core.chat.output.source import Cut, NotACall, Steps
from llamakit.core.grammar.rules import Sequence
from llamakit.core.grammar.triggers import Triggers

TAG = "<|python_tag|>"
CODE_TOOLS = ("python", "code_interpreter", "ipython")
BUILT_IN = ("wolfram_alpha", "web_search", "brave_search", *CODE_TOOLS)  # Llama 3.x knows how to call these
CALLED = tuple(f"{name}.call(" for name in BUILT_IN)
ALL = re.compile(r"[\s\S]*")


@dataclass(frozen=True)
class CodeCalls:
    """calls: the other kind. is_called: NAME.call(...) for the tools that are built in, else code for a tool of it."""

    calls: Calls
    is_called: bool

    @cached_property
    def starts(self) -> tuple[str, ...]:
        return (*self.calls.starts, TAG)

    # reading
    def read(self, reading: Reading) -> Steps[None]:
        source, output = reading.source, reading.output
        if not (yield from source.take(TAG)):
            yield from self.calls.read(reading)
            return
        yield from source.blanks()
        if (yield from source.peek()) == "{" and "{" in self.calls.starts:
            yield from self.calls.read(reading)
            return
        if self.is_called and (called := (yield from source.comes(*CALLED))):
            source.move(len(called))
            reading.begin_call(called.removesuffix(".call("))
            yield from read_python_arguments(reading)
            return
        if self.is_called and source.is_over and source.begins(*CALLED):
            raise Cut
        name = next((name for name in CODE_TOOLS if reading.tools.has(name)), None)
        if name is None:
            raise NotACall
        reading.begin_call(name)
        if (yield from source.peek()) == "{":
            yield from read_value(source, JSON, output.arguments)
            return
        output.arguments('{"code": "')
        yield from source.run(ALL, lambda code: output.arguments(escaped(code)))
        output.arguments('"}')

    # writing
    def sequence(self, writer: GrammarWriter) -> Sequence:
        ways = [self.calls.sequence(writer), *(self.tagged(writer, tool) for tool in self.tagged_tools(writer))]
        return (writer.rule("calls", *ways),)

    def tagged_tools(self, writer: GrammarWriter) -> list[Arguments]:
        """Those that can be called with the tag."""
        if self.is_called:
            return [arguments for arguments in writer.tools if arguments.tool.name in BUILT_IN]
        return [a for a in writer.tools if a.tool.name in CODE_TOOLS and set(a.object.required) <= {"code"}][:1]

    def tagged(self, writer: GrammarWriter, arguments: Arguments) -> Sequence:
        if not self.is_called:
            return (text(TAG), writer.pattern(r"[^\s{][\s\S]*"))
        return (text(f"{TAG}{arguments.tool.name}.call("), *python_arguments(writer, arguments), text(")"))

    def triggers(self, writer: GrammarWriter) -> Triggers:
        others = self.calls.triggers(writer)
        words = (TAG,) if self.tagged_tools(writer) else ()
        return Triggers((*others.words, *words), others.patterns)
