"""What the tools' schemas say about arguments: which types one may have, how each is written in a grammar."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from llamakit.core.chat.output.tools import Tool, ToolError
from llamakit.core.grammar.schema import Schemas
from llamakit.core.grammar.schema_closed import demanded
from llamakit.core.grammar.schema_document import Document, SchemaError
from llamakit.core.grammar.schema_numbers import Numbers
from llamakit.core.grammar.schema_shapes import TRUE, Arrays, At, Bools, Expr, Null, Objects, Shape, all_of
from llamakit.core.grammar.schema_strings import Strings

TYPES: dict[type[Shape], str] = {
    Null: "null",
    Bools: "boolean",
    Numbers: "number",
    Strings: "string",
    Arrays: "array",
    Objects: "object",
}
ALL_TYPES = frozenset(TYPES.values())
COMBINING = {"allOf", "anyOf", "oneOf", "not", "if", "$ref", "$dynamicRef", "patternProperties", "propertyNames"}
CLOSING = {"additionalProperties", "unevaluatedProperties"}


@dataclass(frozen=True)
class Arguments:
    """The arguments of one tool."""

    tool: Tool

    @cached_property
    def schemas(self) -> Schemas:
        """Raises ToolError for a schema that cannot be used.

        Where properties are named and nothing is said about others, there are no others: a model would make them up;
        so for the arguments themselves even where parts of the schema combine others.
        """
        schema = dict(self.tool.parameters)
        if "properties" in schema and not schema.keys() & (COMBINING | CLOSING):
            schema["additionalProperties"] = False
        try:
            return Schemas(Document(demanded({"type": "object", **schema})))
        except SchemaError as error:
            raise self.error(error) from None
        except RecursionError:
            raise self.error(SchemaError("", "nested too deeply")) from None

    @cached_property
    def object(self) -> Objects:
        """The first kind of object that the schema allows, of which most have one. Raises ToolError if it has none."""
        try:
            found = [shape for shape in self.schemas.shapes(At("")) if isinstance(shape, Objects)]
        except SchemaError as error:
            raise self.error(error) from None
        if not found:
            raise ToolError(f"tool {self.tool.name!r}: no object fits the schema of its parameters")
        return found[0]

    def shapes(self, expr: Expr) -> tuple[Shape, ...]:
        try:
            return self.schemas.shapes(expr)
        except SchemaError as error:
            raise self.error(error) from None

    def types(self, expr: Expr) -> frozenset[str]:
        """The JSON types that a value may have."""
        return frozenset(TYPES[type(shape)] for shape in self.shapes(expr))

    def error(self, error: SchemaError) -> ToolError:
        return ToolError(f"tool {self.tool.name!r}, its parameters: {error}")


def value_of(shape: Objects, name: str) -> Expr:
    """What a property's value must be."""
    own = dict(shape.properties).get(name, TRUE)
    return all_of(own, *(expr for keys, expr in shape.rules if keys.has(name)))


class ToolSet:
    """The tools of one request, for a parser: it must know which arguments are strings."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self.arguments = {tool.name: Arguments(tool) for tool in tools}
        self.found: dict[tuple[str, str], frozenset[str]] = {}

    def has(self, name: str) -> bool:
        """Whether there is such a tool; of a parser that was given no tools, every name is one."""
        return not self.arguments or name in self.arguments

    def types(self, tool: str, key: str) -> frozenset[str]:
        """The types that an argument may have: all of them where nothing is known."""
        if (tool, key) not in self.found:
            self.found[tool, key] = self.look_up(tool, key)
        return self.found[tool, key]

    def look_up(self, tool: str, key: str) -> frozenset[str]:
        if tool not in self.arguments:
            return ALL_TYPES
        arguments = self.arguments[tool]
        try:
            expr = value_of(arguments.object, key)
            return ALL_TYPES if expr == TRUE else arguments.types(expr) or ALL_TYPES
        except ToolError:
            return ALL_TYPES
