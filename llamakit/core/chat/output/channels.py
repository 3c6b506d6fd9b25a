"""Messages in parts, each with a header that says for whom it is: the harmony format and its relatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from llamakit.core.chat.output.grammar_writer import GrammarWriter, text
from llamakit.core.chat.output.notation import read_arguments
from llamakit.core.chat.output.reading import Reading
from llamakit.core.chat.output.source import NotACall, Steps, markers
from llamakit.core.grammar.rules import Sequence

MOST_HEADER = 512


class Place(Enum):
    """Where a part goes."""

    REASONING, CONTENT, CALL = range(3)


@dataclass(frozen=True)
class Channels:
    """A part is `start` (the first one's is in the prompt), a header, `body`, text, one of `ends`.

    headers: what headers begin with. place: where a header says that its part goes, and the name of a call.
    has_json_calls: the text of a call is its arguments; else it is read as the format's calls. thought: the header of
    reasoning, for grammars.
    """

    start: str
    body: str
    ends: tuple[str, ...]
    headers: tuple[str, ...]
    place: Callable[[str], tuple[Place, str]]
    has_json_calls: bool
    thought: str

    # reading
    def read(self, reading: Reading) -> Steps[None]:
        source = reading.source
        if reading.starts_thinking:
            yield from self.read_text(reading, Place.REASONING)
        while (yield from source.peek()):
            yield from source.take(self.start)
            if (yield from source.comes(*self.headers, self.body)):
                source.keep()
                try:
                    yield from self.read_part(reading)
                    continue
                except NotACall as error:
                    if not reading.recover(error):
                        yield from self.read_text(reading, Place.CONTENT)
                        continue
            reading.content((yield from source.peek()) and source.move(1))
            yield from self.read_text(reading, Place.CONTENT)

    def read_part(self, reading: Reading) -> Steps[None]:
        """A header and its text. Raises NotACall if there is no header, and the source is kept before it."""
        source, calls = reading.source, reading.format.calls
        header = yield from source.until(self.body, most=MOST_HEADER)
        yield from source.take(self.body)
        place, name = self.place(header)
        if place is Place.CALL and calls is not None and self.has_json_calls:
            yield from source.blanks()
            if not (yield from source.comes("{", '"')):
                raise NotACall
            reading.begin_call(name)
            yield from read_arguments(source, reading.output.arguments)
            yield from source.blanks()
            place = Place.CONTENT
        elif place is Place.CALL and calls is not None and (yield from source.comes(*calls.starts)):
            yield from calls.read(reading)
            yield from source.blanks()
        source.release()
        is_kept = place is Place.REASONING and reading.keeps_reasoning
        reading.content(header + self.body if is_kept else "")
        if place is Place.REASONING and not is_kept:
            reading.output.reasoning.separate()
        found = yield from self.read_text(reading, place)
        reading.content(found if is_kept else "")

    def read_text(self, reading: Reading, place: Place) -> Steps[str]:
        """The text of a part, and what ends it."""
        source = reading.source
        emit = reading.thought if place is Place.REASONING else reading.content
        found = yield from source.stream(markers(*self.ends, self.start), emit)
        if found in self.ends:
            source.move(len(found))
        return found

    # writing
    def sequence(self, writer: GrammarWriter, starts_thinking: bool) -> Sequence:
        """Parts of reasoning, up to the start of another one's header."""
        end = self.ends[0]
        written = (*writer.any_text(*self.ends, self.start), text(end + self.start))
        part = (text(self.thought + self.body), *written)
        return (*(written if starts_thinking else ()), writer.many(*part))
