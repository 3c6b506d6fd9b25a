"""llama-cpp-python's grammars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llamakit.api.grammar import LlamaGrammar as OurGrammar
from llamakit.core.grammar.schema_closed import closed_rules
from llamakit.core.grammar.schema_rules import JsonStyle

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


class LlamaGrammar(OurGrammar):
    @classmethod
    def from_json_schema(
        cls,
        json_schema: str | bool | Mapping[str, Any],
        verbose: bool = True,
        *,
        is_ordered: bool = False,
        has_spaces: bool = True,
    ) -> LlamaGrammar:
        """As ours, but objects have no properties that the schema does not name, unless it speaks of others."""
        return cls(closed_rules(json_schema, JsonStyle(is_ordered, has_spaces)))
