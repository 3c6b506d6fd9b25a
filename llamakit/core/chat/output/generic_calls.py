"""For models that know no calls: the whole message is a JSON object that either calls or answers."""

from __future__ import annotations

import json
from dataclasses import dataclass

from llamakit.core.chat.output.grammar_writer import GrammarWriter, text
from llamakit.core.chat.output.json_calls import JsonCalls, read_member_key
from llamakit.core.chat.output.notation import JSON, read_plain, read_value
from llamakit.core.chat.output.reading import Reading
from llamakit.core.chat.output.source import NotACall, Steps
from llamakit.core.grammar.rules import Ref, Sequence
from llamakit.core.grammar.triggers import Triggers

OBJECT = JsonCalls()
OBJECT_OF_LIST = JsonCalls(id_key="id", id_pattern="[A-Za-z0-9]{4,16}", id_is_last=True)


@dataclass(frozen=True)
class GenericCalls:
    """{"tool_call": {...}}, {"tool_calls": [{...}]} or {"response": ...}."""

    @property
    def starts(self) -> tuple[str, ...]:
        return ("{",)

    # reading
    def read(self, reading: Reading) -> Steps[None]:
        source = reading.source
        source.move(1)
        yield from source.blanks()
        key = yield from read_member_key(reading)
        char = yield from source.peek()
        if key == "tool_call" and char == "{":
            yield from OBJECT.read_object(reading)
        elif key == "tool_calls" and char == "[":
            source.move(1)
            yield from OBJECT_OF_LIST.read_list(reading)
        elif key == "response":
            source.release()
            yield from read_plain(source, reading.content) if char == '"' else read_value(source, JSON, reading.content)
        else:
            raise NotACall
        source.keep()
        yield from source.blanks()
        if (yield from source.take("}")):
            source.release()

    # writing
    def sequence(self, writer: GrammarWriter) -> Sequence:
        space = writer.space
        calls = OBJECT_OF_LIST if writer.is_parallel else OBJECT
        item = writer.each_tool(lambda arguments: calls.object(writer, arguments))
        if writer.is_parallel:
            value: Sequence = (text('"tool_calls":'), space, text("["), space)
            value += (*writer.list_of(item, text(","), space), space, text("]"))
        else:
            value = (text('"tool_call":'), space, item)
        return (text("{"), space, *value, space, text("}"))

    def answer(self, writer: GrammarWriter, value: Ref) -> Sequence:
        """An answer instead of calls."""
        return (text("{"), writer.space, text('"response":'), writer.space, value, writer.space, text("}"))

    def triggers(self, writer: GrammarWriter) -> Triggers:
        return Triggers(patterns=(r"^(\s*\{)",))


def note(tools: list[dict[str, object]], is_parallel: bool) -> str:
    """What the system message must say, as the template does not."""
    call = '{"name": ..., "arguments": {...}}'
    way = f'{{"tool_calls": [{call}, ...]}}' if is_parallel else f'{{"tool_call": {call}}}'
    listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    return (
        "You can call these tools:\n" + listed + "\n\nRespond with one JSON object and nothing else: "
        f'{way} to call, or {{"response": ...}} to answer.'
    )
