"""GBNF, llama.cpp's notation for grammars, to rules.

root ::= item ("," item){0,9}     # a rule: name ::= alternatives
item ::= "text" [a-z0-9^-] . name ( ... | ... ) <[42]> <think> !<end>
         with * + ? {m} {m,} {m,n} after any of them
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from llamakit.core.grammar.charset import ANY, complement, intersect, union
from llamakit.core.grammar.errors import GrammarError, place, syntax_error
from llamakit.core.grammar.rules import Chars, Ref, Repeat, Rules, Sequence, Symbol, Text, Token

NAME = re.compile(r"[A-Za-z0-9-]+")
PLAIN = re.compile(r'[^"\\\ud800-\udfff]+')
NUMBER = re.compile(r"[0-9]+")
TOKEN = re.compile(r"<\[([0-9]+)\]>|(<[^>\[][^>]*>)")
CARET, COMMA, BRACE = (re.compile(re.escape(letter)) for letter in "^,}")
BLANK = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
BLANK_OR_LINES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
LINE_END = re.compile(r"\r\n|\r|\n")
HEX = {"x": re.compile(r"[0-9A-Fa-f]{2}"), "u": re.compile(r"[0-9A-Fa-f]{4}"), "U": re.compile(r"[0-9A-Fa-f]{8}")}
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "[": "[", "]": "]", "-": "-"}
REPEATS = {"*": (0, None), "+": (1, None), "?": (0, 1)}
MOST_REPEATS = 1 << 31
LAST_TOKEN = (1 << 31) - 1


def parse_gbnf(text: str) -> Rules:
    """The rules of a grammar. Raises GrammarError with line, column and the text that is wrong."""
    return Parser(text).parse()


@dataclass(slots=True)
class Choice:
    """A rule or group that is being read: the alternatives so far, and the symbols of the one at hand."""

    rule: int
    start: int  # where its text begins
    alternatives: list[Sequence] = field(default_factory=list)
    symbols: list[Symbol] = field(default_factory=list)


class Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.rules = Rules()
        self.numbers: dict[str, int] = {}
        self.mentioned: dict[str, int] = {}  # where a name was first used
        self.defined: set[str] = set()

    def parse(self) -> Rules:
        self.skip(BLANK_OR_LINES)
        while self.at < len(self.text):
            self.rule()
        if "root" not in self.defined:
            raise GrammarError("GBNF: there is no rule named root, where a grammar begins")
        for name, at in self.mentioned.items():
            if name not in self.defined:
                raise syntax_error("GBNF", self.text, at, f"the rule {name} is not defined")
        self.rules.root = self.numbers["root"]
        cycle = self.rules.left_recursion()
        if cycle is not None:
            names = [*dict.fromkeys(self.rules.rules[rule].name for rule in cycle)]
            shown = [*names[:4], "...", names[-1]] if len(names) > 6 else names
            raise GrammarError(
                f"GBNF: left recursion: {' -> '.join([*shown, names[0]])} comes back to itself before it reads "
                "anything; put a symbol that is never empty in front, or repeat with * instead"
            )
        return self.rules

    def rule(self) -> None:
        start = self.at
        name = self.expect(NAME, "a rule's name is expected")
        self.skip(BLANK)
        if not self.text.startswith("::=", self.at):
            raise self.error("::= is expected after the name of a rule")
        self.at += 3
        self.skip(BLANK_OR_LINES)
        number = self.number(name)
        self.alternatives(Choice(number, start))
        self.defined.add(name)
        if self.at < len(self.text) and not self.skip(LINE_END):
            raise self.error("the end of the line is expected after a rule")
        self.skip(BLANK_OR_LINES)

    def number(self, name: str) -> int:
        if name not in self.numbers:
            self.numbers[name] = self.rules.add(name)
        return self.numbers[name]

    def alternatives(self, outer: Choice) -> None:
        """Everything up to the end of a rule; groups within it are rules of their own, on a stack of choices."""
        choices = [outer]
        while choices:
            choice = choices[-1]
            letter = self.text[self.at : self.at + 1]
            if letter == "(":
                choices.append(Choice(self.rules.add(self.rules.rules[outer.rule].name), self.at))
                self.at += 1
                self.skip(BLANK_OR_LINES)
            elif letter == "|":
                self.at += 1
                choice.alternatives.append(tuple(choice.symbols))
                choice.symbols = []
                self.skip(BLANK_OR_LINES)
            elif letter == ")" and len(choices) > 1:
                self.at += 1
                self.close(choices.pop())
                choices[-1].symbols.append(Ref(choice.rule))
                self.skip_blank(choices)
            elif letter and letter in "*+?{":
                if not choice.symbols:
                    raise self.error(f"{letter} needs something before it to repeat")
                choice.symbols[-1] = self.repeat(choice.symbols[-1], choice.rule)
                self.skip_blank(choices)
            elif (symbol := self.symbol(letter)) is not None:
                choice.symbols.append(symbol)
                self.skip_blank(choices)
            elif len(choices) > 1:
                line, column = place(self.text, choice.start)
                raise self.error(f") is expected for the ( of line {line}, column {column}")
            else:
                self.close(choices.pop())

    def close(self, choice: Choice) -> None:
        self.rules.rules[choice.rule].alternatives = [*choice.alternatives, tuple(choice.symbols)]

    def symbol(self, letter: str) -> Symbol | None:
        """The symbol that begins here; None if none does."""
        start = self.at
        if letter == '"':
            return self.literal()
        if letter == "[":
            return self.char_class()
        if letter in ("<", "!"):
            return self.token()
        if letter == ".":
            self.at += 1
            return Chars(ANY)
        if NAME.match(self.text, self.at):
            name = self.expect(NAME, "")
            self.mentioned.setdefault(name, start)
            return Ref(self.number(name))
        return None

    def literal(self) -> Text:
        start, parts = self.at, []
        self.at += 1
        while not self.text.startswith('"', self.at):
            if self.at >= len(self.text):
                raise syntax_error("GBNF", self.text, start, "this text has no closing quote")
            parts.append(self.expect(PLAIN, "") if PLAIN.match(self.text, self.at) else chr(self.char()))
        self.at += 1
        return Text("".join(parts).encode())

    def char_class(self) -> Chars:
        start, ranges = self.at, []
        self.at += 1
        is_negated = self.skip(CARET)
        while not self.text.startswith("]", self.at):
            if self.at >= len(self.text):
                raise syntax_error("GBNF", self.text, start, "this class has no closing bracket")
            at, low = self.at, self.char()
            high = low
            if self.text.startswith("-", self.at) and not self.text.startswith("-]", self.at):
                self.at += 1
                if self.at >= len(self.text):
                    raise syntax_error("GBNF", self.text, start, "this class has no closing bracket")
                high = self.char()
            if low > high:
                raise syntax_error("GBNF", self.text, at, "the range ends before it begins")
            ranges.append((low, high))
        self.at += 1
        chars = union(ranges)
        return Chars(complement(chars) if is_negated else intersect(chars, ANY))

    def char(self) -> int:
        """A code point, perhaps escaped."""
        letter = self.text[self.at]
        if letter != "\\":
            self.at += 1
            return self.checked(ord(letter), self.at - 1)
        start, kind = self.at, self.text[self.at + 1 : self.at + 2]
        self.at += 2
        if kind in HEX:
            return self.checked(int(self.expect(HEX[kind], f"hex digits are expected after \\{kind}"), 16), start)
        if kind not in ESCAPES:
            known = r"\n \r \t \\ \" \[ \] \- \xHH \uHHHH \UHHHHHHHH"
            raise syntax_error("GBNF", self.text, start, f"unknown escape; there are {known}")
        return ord(ESCAPES[kind])

    def checked(self, char: int, at: int) -> int:
        if char > 0x10FFFF or 0xD800 <= char <= 0xDFFF:
            raise syntax_error("GBNF", self.text, at, f"U+{char:04X} is no character")
        return char

    def token(self) -> Token:
        start = self.at
        is_negated = self.text[self.at] == "!"
        self.at += is_negated
        found = TOKEN.match(self.text, self.at)
        if found is None:
            raise syntax_error("GBNF", self.text, start, "a token is written <[id]> or <text>")
        self.at = found.end()
        if found[1] is None:
            return Token(found[2], is_negated)
        if len(found[1]) > 10 or int(found[1]) > LAST_TOKEN:
            raise syntax_error("GBNF", self.text, start, "the token id is too large")
        return Token(int(found[1]), is_negated)

    def repeat(self, symbol: Symbol, rule: int) -> Symbol:
        """The symbol with the repetition that stands here."""
        start, letter = self.at, self.text[self.at]
        self.at += 1
        if letter in REPEATS:
            least, most = REPEATS[letter]
        else:
            least, most = self.counts(start)
        if isinstance(symbol, Ref):
            return Repeat(symbol.rule, least, most)
        return Repeat(self.rules.add(self.rules.rules[rule].name, (symbol,)), least, most)

    def counts(self, start: int) -> tuple[int, int | None]:
        """What follows the opening brace of {m}, {m,} or {m,n}."""
        self.skip(BLANK)
        least = most = self.count(self.expect(NUMBER, "a number is expected after {"), start)
        bound: int | None = most
        self.skip(BLANK)
        if self.skip(COMMA):
            self.skip(BLANK)
            digits = NUMBER.match(self.text, self.at)
            bound = self.count(self.expect(NUMBER, ""), start) if digits else None
            self.skip(BLANK)
        if not self.skip(BRACE):
            raise self.error("} is expected")
        if bound is not None and bound < least:
            raise syntax_error("GBNF", self.text, start, "at most is less than at least")
        return least, bound

    def count(self, digits: str, start: int) -> int:
        if len(digits) > 10 or int(digits) > MOST_REPEATS:
            raise syntax_error("GBNF", self.text, start, f"more than {MOST_REPEATS} repetitions")
        return int(digits)

    def skip_blank(self, choices: list[Choice]) -> None:
        """A rule ends with its line; a group may go on in the next."""
        self.skip(BLANK_OR_LINES if len(choices) > 1 else BLANK)

    def skip(self, pattern: re.Pattern[str]) -> bool:
        found = pattern.match(self.text, self.at)
        if found is None:
            return False
        self.at = found.end()
        return True

    def expect(self, pattern: re.Pattern[str], message: str) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise self.error(message)
        self.at = found.end()
        return found[0]

    def error(self, message: str) -> GrammarError:
        return syntax_error("GBNF", self.text, self.at, message)
