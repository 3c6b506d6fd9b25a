"""`grammar`, `json_schema` and when they hold, as llama-server's clients ask for them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from llamakit.core.chat.output.constraint import Constraint
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.gbnf import parse_gbnf
from llamakit.core.grammar.rules import Rules
from llamakit.core.grammar.schema_closed import closed_rules
from llamakit.core.grammar.triggers import Triggers
from llamakit.server.generation.field import Anything, Body, FieldError, Flag, Text, Texts, Whole

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab

GRAMMAR = Text("grammar", "GBNF that the text must follow.")
JSON_SCHEMA = Anything("json_schema", "JSON schema that the text must fit; {}: any object. A grammar goes first.",
                       types=("object", "boolean"))  # fmt: skip
LAZY = Flag("grammar_lazy", "The grammar holds only from a trigger on.")
TRIGGERS = Anything(
    "grammar_triggers",
    "What wakes a lazy grammar: objects with type (0 token, 1 word, 2 pattern, 3 pattern of the whole text), value, "
    "and for a token its id in token.",
    types=("array",),
    items={
        "type": "object",
        "properties": {
            "type": {"enum": [0, 1, 2, 3]}, "value": {"type": "string"}, "token": {"type": "integer", "minimum": 0},
        },
        "required": ["type", "value"],
    },
)  # fmt: skip
PRESERVED = Texts("preserved_tokens", "Texts of special tokens that count as text for the triggers.")
GRAMMAR_FIELDS = (GRAMMAR, JSON_SCHEMA, LAZY, TRIGGERS, PRESERVED)

TRIGGER_TYPE = Whole("type", "", least=0, most=3)
TRIGGER_VALUE = Text("value", "")
TRIGGER_TOKEN = Whole("token", "", least=0)
MOST_TRIGGERS = 256
LONGEST_GRAMMAR = 1 << 20  # characters: about a second's work


class TriggerType(IntEnum):
    TOKEN, WORD, PATTERN, PATTERN_FULL = range(4)


@dataclass(frozen=True, slots=True)
class Trigger:
    type: TriggerType
    value: str
    token: int | None = None

    def settings(self) -> dict[str, Any]:
        told = {"type": int(self.type), "value": self.value}
        return told if self.token is None else {**told, "token": self.token}


@dataclass(frozen=True, slots=True)
class GrammarSource:
    """What a request says; a schema is kept as it came."""

    grammar: str = ""
    json_schema: Any = None  # None: none
    is_lazy: bool = False
    triggers: tuple[Trigger, ...] = ()
    preserved: tuple[int, ...] = ()

    @classmethod
    def read(cls, body: Body, vocab: Vocab) -> GrammarSource:
        preserved = tuple(ids[0] for text in PRESERVED.read(body) or () if len(ids := special_ids(text, vocab)) == 1)
        triggers, is_lazy = read_triggers(body, vocab, preserved), LAZY.read(body) or False
        if is_lazy and not triggers:
            raise FieldError(TRIGGERS.name, "no triggers set for lazy grammar!")
        schema = JSON_SCHEMA.find(body)
        return cls(GRAMMAR.read(body) or "", None if schema is None else schema[1], is_lazy, triggers, preserved)

    def settings(self) -> dict[str, Any]:
        """As an answer's generation_settings tell it."""
        return {
            "grammar": self.grammar,
            "grammar_lazy": self.is_lazy,
            "grammar_triggers": [trigger.settings() for trigger in self.triggers],
            "preserved_tokens": list(self.preserved),
        }


def special_ids(text: str, vocab: Vocab) -> list[int]:
    return vocab.encode(text, add_special=False, parse_special=True)


def read_triggers(body: Body, vocab: Vocab, preserved: tuple[int, ...]) -> tuple[Trigger, ...]:
    if (found := TRIGGERS.find(body)) is None:
        return ()
    name, value = found
    if not isinstance(value, list) or len(value) > MOST_TRIGGERS or not all(isinstance(one, dict) for one in value):
        raise FieldError(name, f"must be a list of objects, at most {MOST_TRIGGERS}")
    return tuple(read_trigger(entry, f"{name}.{i}", vocab, preserved) for i, entry in enumerate(value))


def read_trigger(entry: Body, param: str, vocab: Vocab, preserved: tuple[int, ...]) -> Trigger:
    try:
        kind, text, token = TRIGGER_TYPE.read(entry), TRIGGER_VALUE.read(entry), TRIGGER_TOKEN.read(entry)
    except FieldError as error:
        raise FieldError(f"{param}.{error.param}", error.reason) from None
    if kind is None or text is None:
        raise FieldError(param, "needs type and value")
    if kind == TriggerType.TOKEN:
        if token is None or token >= vocab.n_tokens:
            raise FieldError(f"{param}.token", "must be a token's id")
        return Trigger(TriggerType.TOKEN, text, token)
    if kind == TriggerType.WORD and len(ids := special_ids(text, vocab)) == 1:
        if ids[0] not in preserved:
            raise FieldError(param, f"Grammar trigger word should be marked as preserved token: {text}")
        return Trigger(TriggerType.TOKEN, text, ids[0])
    return Trigger(TriggerType(kind), text)


def read_grammar(source: GrammarSource) -> Constraint | None:
    """The rules and what wakes them; None where there are none. Raises FieldError with the place of what is wrong."""
    rules = read_rules(source)
    if rules is None:
        return None
    if not source.is_lazy:
        return Constraint(rules, None)

    def texts(kind: TriggerType) -> tuple[str, ...]:
        return tuple(trigger.value for trigger in source.triggers if trigger.type is kind)

    tokens = frozenset(trigger.token for trigger in source.triggers if trigger.token is not None)
    return Constraint(
        rules, Triggers(texts(TriggerType.WORD), texts(TriggerType.PATTERN), texts(TriggerType.PATTERN_FULL), tokens)
    )


def read_rules(source: GrammarSource) -> Rules | None:
    if len(source.grammar) > LONGEST_GRAMMAR:
        raise FieldError(GRAMMAR.name, f"has {len(source.grammar)} characters, at most {LONGEST_GRAMMAR} are possible")
    if source.grammar:
        try:
            return parse_gbnf(source.grammar)
        except GrammarError as error:
            raise FieldError(GRAMMAR.name, str(error)) from None
    if source.json_schema is None:
        return None
    if not isinstance(source.json_schema, dict | bool):
        raise FieldError(JSON_SCHEMA.name, "must be an object or a boolean")
    try:
        return closed_rules(source.json_schema if source.json_schema != {} else {"type": "object"})
    except GrammarError as error:
        raise FieldError(JSON_SCHEMA.name, str(error)) from None
