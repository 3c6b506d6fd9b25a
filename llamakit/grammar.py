"""Grammars for users: what a model may write.

    grammar = LlamaGrammar.from_json_schema({"type": "object", "properties": {"age": {"type": "integer"}}})
    grammar.matches('{"age": 7}')
"""

from __future__ import annotations

from pathlib import Path

from llamakit.core.grammar.gbnf import parse_gbnf
from llamakit.core.grammar.grammar import Grammar
from llamakit.errors import UsageError


class LlamaGrammar(Grammar):
    """A grammar. All constructors raise GrammarError for a text that cannot be used, and say where."""

    @classmethod
    def from_string(cls, grammar: str) -> LlamaGrammar:
        """GBNF, as llama.cpp reads it."""
        return cls(parse_gbnf(grammar))

    @classmethod
    def from_file(cls, file: str | Path) -> LlamaGrammar:
        """A file of GBNF in UTF-8."""
        try:
            return cls.from_string(Path(file).read_bytes().decode("utf-8"))
        except OSError as error:
            raise UsageError(f"{file}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise UsageError(f"{file}: byte {error.start} is not UTF-8") from None
