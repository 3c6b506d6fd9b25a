"""Values as models write them, to JSON, as they come: JSON itself, Python's literals, Gemma's own notation."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from llamakit.core.chat.output.source import Cut, Emit, NotACall, Source, Steps, markers

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
NUMBER_CHARS = re.compile(r"[-+.0-9eE]*")
JSON_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})')
PYTHON_ESCAPES = {"'": "'", "a": "\a", "v": "\v", "0": "\0", "\n": ""}
HEX_DIGITS = {"x": 2, "U": 8}
CLOSING = {"{": "}", "[": "]"}


@dataclass(frozen=True)
class Notation:
    """How values are written where it differs from JSON.

    quotes: what stands before and after a string; escapes: "json", "python" or "" for none. bare_keys: a key is all
    text up to its colon.
    """

    quotes: tuple[str, ...] = ('"',)
    escapes: str = "json"
    bare_keys: bool = False
    words: Mapping[str, str] = field(default_factory=lambda: {word: word for word in ("true", "false", "null")})


JSON = Notation()
PYTHON = Notation(('"', "'"), "python", words={**JSON.words, "True": "true", "False": "false", "None": "null"})
GEMMA = Notation(('<|"|>',), "", bare_keys=True)


def escaped(text: str) -> str:
    """Text as it stands within a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def read_value(source: Source, notation: Notation, emit: Emit) -> Steps[None]:
    """One value, passed on as JSON while it comes. Raises NotACall at the first character that cannot be there."""
    brackets: list[str] = []  # those to come
    while True:
        yield from source.blanks(emit if brackets else None)
        char = yield from source.peek()
        if char and char in CLOSING:
            source.move(1)
            emit(char)
            brackets.append(CLOSING[char])
            yield from source.blanks(emit)
            if (yield from source.peek()) != brackets[-1]:
                if char == "{":
                    yield from read_key(source, notation, emit)
                continue
        else:
            yield from read_scalar(source, notation, emit)
        while brackets:  # a value has been read
            yield from source.blanks(emit)
            char = yield from source.peek()
            if char == ",":
                emit(source.move(1))
                if brackets[-1] == "}":
                    yield from source.blanks(emit)
                    yield from read_key(source, notation, emit)
                break
            if char != brackets[-1]:
                raise NotACall
            emit(source.move(1))
            brackets.pop()
        if not brackets:
            return


def read_key(source: Source, notation: Notation, emit: Emit) -> Steps[None]:
    quote = yield from source.comes(*notation.quotes)
    if quote:
        yield from read_string(source, notation, emit)
    elif notation.bare_keys:
        key = yield from source.until(*":{}[],")
        if source.next != ":":
            source.unread(key)
            raise NotACall
        emit(f'"{escaped(key.strip())}"')
    else:
        raise NotACall
    yield from source.blanks(emit)
    if (yield from source.peek()) != ":":
        raise NotACall
    emit(source.move(1))


def read_scalar(source: Source, notation: Notation, emit: Emit) -> Steps[None]:
    """A string, a number or a word."""
    if (yield from source.comes(*notation.quotes)):
        yield from read_string(source, notation, emit)
        return
    char = yield from source.peek()
    if char and char in "-0123456789":
        digits: list[str] = []
        yield from source.run(NUMBER_CHARS, digits.append)
        emit("".join(digits))
        if not NUMBER.fullmatch("".join(digits)):
            raise NotACall
        return
    word = yield from source.comes(*notation.words)
    if not word:
        raise Cut if source.is_over and source.begins(*notation.words, *notation.quotes) else NotACall
    source.move(len(word))
    emit(notation.words[word])


def read_string(source: Source, notation: Notation, emit: Emit) -> Steps[None]:
    """A string with its quotes, as JSON. Control characters, which JSON does not allow in it, are escaped."""
    quote = yield from source.take(*notation.quotes)
    emit('"')
    yield from read_text(source, quote, notation.escapes, emit)
    emit('"')


def read_text(source: Source, quote: str, escapes: str, emit: Emit) -> Steps[None]:
    """A string from after its first quote up to and with its last; what is within is passed on as JSON has it."""
    sought = markers(quote, "\\") if escapes else markers(quote)
    spell = raw if escapes == "json" else escaped
    while True:
        found = yield from source.stream(sought, lambda text: emit(spell(text)), keeps_half=True)
        if not found:
            raise Cut
        if found == quote:
            source.move(len(quote))
            return
        emit((yield from (json_escape(source) if escapes == "json" else python_escape(source))))


def raw(text: str) -> str:
    """Text of a JSON string, where control characters had to be escaped and quotes are."""
    return text if text.isprintable() else "".join(escaped(c) if c < " " else c for c in text)


def json_escape(source: Source) -> Steps[str]:
    text = yield from source.peek(2)
    if text == "\\u":
        text = yield from source.peek(6)
    if not JSON_ESCAPE.fullmatch(text):
        raise Cut if source.is_over and len(text) < 6 else NotACall
    return source.move(len(text))


def python_escape(source: Source) -> Steps[str]:
    """An escape as JSON has it: models write those of both. An unknown one means itself."""
    text = yield from source.peek(2)
    if len(text) < 2:
        raise Cut
    if text == "\\u" or JSON_ESCAPE.fullmatch(text):
        return (yield from json_escape(source))
    letter = text[1]
    if letter in HEX_DIGITS:
        n = HEX_DIGITS[letter]
        digits = (yield from source.peek(2 + n))[2:]
        if not re.fullmatch(f"[0-9A-Fa-f]{{{n}}}", digits) or int(digits, 16) > 0x10FFFF:
            raise NotACall
        source.move(2 + n)
        return escaped(chr(int(digits, 16)))
    source.move(2)
    return escaped(PYTHON_ESCAPES.get(letter, text))


def read_name(source: Source) -> Steps[str]:
    """A JSON string that is kept to be looked at. Raises NotACall if none comes."""
    if (yield from source.peek()) != '"':
        raise NotACall
    parts: list[str] = []
    yield from read_string(source, JSON, parts.append)
    name = json.loads("".join(parts))
    assert isinstance(name, str)
    return name


def read_plain(source: Source, emit: Emit) -> Steps[None]:
    """A JSON string; its text, not its spelling, is passed on as it comes. Halves of surrogate pairs are joined."""
    source.move(1)
    half = ""  # the first half of a pair

    def pass_on(text: str) -> None:
        nonlocal half
        emit("\ufffd" + text if half else text)
        half = ""

    while True:
        found = yield from source.stream(markers('"', "\\"), pass_on)
        if found != "\\":
            if half:
                emit("\ufffd")
            if not found:
                raise NotACall
            source.move(1)
            return
        char = json.loads(f'"{(yield from json_escape(source))}"')
        if half:
            pair = (half + char).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            half = ""
            emit(pair)
        elif "\ud800" <= char <= "\udbff":
            half = char
        else:
            emit(char if not "\udc00" <= char <= "\udfff" else "\ufffd")


def read_arguments(source: Source, emit: Emit) -> Steps[None]:
    """The JSON of a call's arguments; some models put it into a string once more. null means none."""
    char = yield from source.peek()
    if char == '"':
        yield from read_plain(source, emit)
    elif char == "n":
        parts: list[str] = []
        yield from read_value(source, JSON, parts.append)
        emit("{}")
    else:
        yield from read_value(source, JSON, emit)
