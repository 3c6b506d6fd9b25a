"""llama-cpp-python's grammars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from llamakit.api.grammar import LlamaGrammar as OurGrammar
from llamakit.core.grammar.rules import Rules
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
    """Objects of a schema have no properties that it does not name, unless it speaks of others."""

    rules_of_schema: ClassVar[Callable[[Any, JsonStyle], Rules]] = staticmethod(closed_rules)
