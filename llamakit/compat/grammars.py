"""llama-cpp-python's grammars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from llamakit.api.grammar import LlamaGrammar as OurGrammar
from llamakit.core.grammar.gbnf import parse_gbnf
from llamakit.core.grammar.rules import Rules
from llamakit.core.grammar.schema_closed import closed_rules
from llamakit.core.grammar.schema_rules import JsonStyle
from llamakit.errors import UsageError

JSON_GBNF = r"""
root   ::= object
value  ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" space ( member ( "," space member )* space )? "}"
member ::= string ":" space value
array  ::= "[" space ( value ( "," space value )* space )? "]"
string ::= "\"" ( [^"\\\x00-\x1F] | "\\" ( ["\\/bfnrt] | "u" [0-9a-fA-F]{4} ) )* "\""
number ::= "-"? ( "0" | [1-9] [0-9]{0,15} ) ( "." [0-9]{1,16} )? ( [eE] [+-]? [0-9]{1,3} )?
space  ::= ( " " | "\n" [ \t]{0,20} )?
"""


LLAMA_GRAMMAR_DEFAULT_ROOT = "root"


def json_schema_to_gbnf(schema: str, prop_order: list[str] | None = None) -> str:
    """Raises UsageError: what schemas become here counts properties, which GBNF cannot say."""
    raise UsageError("json_schema_to_gbnf: schemas are not written as GBNF here; use LlamaGrammar.from_json_schema")


class LlamaGrammar(OurGrammar):
    """Objects of a schema have no properties that it does not name, unless it speaks of others.

    `LlamaGrammar(_grammar=TEXT)` is what programs write that make the text themselves; `_grammar` is the text of those
    that were made of one.
    """

    rules_of_schema: ClassVar[Callable[[Any, JsonStyle], Rules]] = staticmethod(closed_rules)

    def __init__(self, rules: Rules | None = None, *, _grammar: str | None = None) -> None:
        if rules is None:
            if _grammar is None:
                raise UsageError("LlamaGrammar: of which text? LlamaGrammar.from_string makes one")
            rules = parse_gbnf(_grammar)
        super().__init__(rules)
        self._grammar, self._root = _grammar, LLAMA_GRAMMAR_DEFAULT_ROOT

    @classmethod
    def from_string(cls, grammar: str, verbose: bool = True) -> LlamaGrammar:
        return cls(_grammar=grammar)
