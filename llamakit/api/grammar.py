"""Grammars for users: what a model may write.

grammar = LlamaGrammar.from_json_schema({"type": "object", "properties": {"age": {"type": "integer"}}})
grammar.matches('{"age": 7}')
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from llamakit.core.grammar.gbnf import parse_gbnf
from llamakit.core.grammar.grammar import Grammar
from llamakit.core.grammar.regex_rules import regex_rules
from llamakit.core.grammar.rules import Rules
from llamakit.core.grammar.schema_rules import JsonStyle, schema_rules
from llamakit.tools.text_file import read_text


class LlamaGrammar(Grammar):
    """A grammar. All constructors raise GrammarError for a text that cannot be used, and say where.

    `verbose` is there for llama-cpp-python's callers; nothing is printed either way.
    """

    rules_of_schema: ClassVar[Callable[[Any, JsonStyle], Rules]] = staticmethod(schema_rules)

    @classmethod
    def from_string(cls, grammar: str, verbose: bool = True) -> LlamaGrammar:
        """GBNF, as llama.cpp reads it."""
        return cls(parse_gbnf(grammar))

    @classmethod
    def from_file(cls, file: str | Path, verbose: bool = True) -> LlamaGrammar:
        """A file of GBNF in UTF-8."""
        return cls.from_string(read_text(file))

    @classmethod
    def from_json_schema(
        cls,
        json_schema: str | bool | Mapping[str, Any],
        verbose: bool = True,
        *,
        is_ordered: bool = False,
        has_spaces: bool = True,
    ) -> LlamaGrammar:
        """The JSON texts of the values that a schema (JSON text, or the same as Python values) allows.

        is_ordered: properties only in the order of the schema, others after them. has_spaces: a blank, or up to two
        line ends and an indent, after `{ [ , :` and before `} ]`; without, no space at all. A schema that cannot be
        held to in every point is refused with the JSON pointer of what is not supported; nothing is ever fetched.
        """
        return cls(cls.rules_of_schema(json_schema, JsonStyle(is_ordered, has_spaces)))

    @classmethod
    def from_regex(cls, pattern: str, verbose: bool = True) -> LlamaGrammar:
        """What a regular expression matches from begin to end."""
        return cls(regex_rules(pattern))
