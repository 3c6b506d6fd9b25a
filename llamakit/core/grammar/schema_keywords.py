"""The keywords of a schema that speak of one type, each type to one shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from typing import Any, TypeVar

from llamakit.core.grammar.dfa import Dfa
from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.regex_dfa import search
from llamakit.core.grammar.schema_document import Document, SchemaError, check_count, check_number, describe, join
from llamakit.core.grammar.schema_formats import format_strings
from llamakit.core.grammar.schema_numbers import Numbers
from llamakit.core.grammar.schema_shapes import (
    ALL_ITEMS,
    FALSE,
    TRUE,
    Arrays,
    At,
    Bools,
    Contains,
    Expr,
    Keys,
    Literal,
    Null,
    Objects,
    Seen,
    Shape,
)
from llamakit.core.grammar.schema_strings import Strings, opposite, pattern_strings

T = TypeVar("T")


class Keywords:
    """The keywords of the schema object at `pointer`, checked as they are read."""

    def __init__(self, document: Document, pointer: str) -> None:
        self.document, self.pointer = document, pointer
        self.schema: dict[str, Any] = document.at(pointer)

    def at(self, *parts: str | int) -> str:
        return join(self.pointer, *parts)

    def get(self, keyword: str, kind: type[T], default: T) -> T:
        value = self.schema.get(keyword, default)
        if not isinstance(value, kind):
            names = {dict: "an object", list: "an array", str: "a string", bool: "true or false"}
            raise SchemaError(self.at(keyword), f"{names[kind]} is expected, not {describe(value)}")
        return value

    def names(self, keyword: str, *parts: str) -> list[str]:
        """An array of strings."""
        pointer, value = self.at(keyword, *parts), self.schema.get(keyword, [])
        for part in parts:
            value = value[part]
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise SchemaError(pointer, "an array of property names is expected")
        return value

    def count(self, keyword: str, default: int | None = None) -> int | None:
        if keyword not in self.schema:
            return default
        return check_count(self.at(keyword), self.schema[keyword])

    def number(self, keyword: str) -> Fraction | None:
        if keyword not in self.schema or isinstance(self.schema[keyword], bool):
            return None
        return to_fraction(self.at(keyword), self.schema[keyword])

    def members(self, keyword: str) -> dict[str, Expr]:
        """Schemas by name."""
        return {name: self.sub(keyword, name) for name in self.get(keyword, dict, {})}

    def sub(self, *parts: str | int) -> Expr:
        """The schema within: a plain answer where it says everything or nothing."""
        pointer = self.at(*parts)
        schema = self.document.at(pointer)
        return TRUE if schema is True or schema == {} else FALSE if schema is False else At(pointer)

    def shape(self, name: str) -> Shape:
        if name in ("number", "integer"):
            return self.numbers(name == "integer")
        makers: dict[str, Callable[[], Shape]] = {
            "null": Null, "boolean": Bools, "string": self.strings, "array": self.arrays, "object": self.objects,
        }  # fmt: skip
        return makers[name]()

    def numbers(self, is_integer: bool) -> Numbers:
        low, high = self.number("minimum"), self.number("maximum")
        opens = []
        for keyword, bound, is_higher in (("exclusiveMinimum", low, False), ("exclusiveMaximum", high, True)):
            own = self.number(keyword)
            if self.schema.get(keyword) is True:  # draft 4: the other keyword has the number
                opens.append(bound is not None)
            elif own is not None and (bound is None or (own <= bound if is_higher else own >= bound)):
                opens.append(True)
                low, high = (low, own) if is_higher else (own, high)
            else:
                opens.append(False)
        multiple = self.number("multipleOf")
        if multiple is not None and multiple <= 0:
            raise SchemaError(self.at("multipleOf"), "a number above 0 is expected")
        multiples = frozenset() if multiple is None else frozenset([(multiple, True)])
        return Numbers(low, high, opens[0], opens[1], True if is_integer else None, multiples)

    def strings(self) -> Strings:
        found = Strings(least=self.count("minLength") or 0, most=self.count("maxLength"))
        parts = []
        if "pattern" in self.schema:
            parts.append(self.with_pointer("pattern", lambda: pattern_strings(self.get("pattern", str, ""))))
        if "format" in self.schema:
            parts.append(self.with_pointer("format", lambda: format_strings(self.get("format", str, ""))))
        return self.with_pointer("pattern", lambda: reduce(Strings.joined, parts, found))

    def with_pointer(self, keyword: str, make: Callable[[], T]) -> T:
        try:
            return make()
        except SchemaError:
            raise
        except GrammarError as error:
            raise SchemaError(self.at(keyword), str(error)) from None

    def arrays(self) -> Arrays:
        tuple_keyword = "prefixItems" if "prefixItems" in self.schema else "items"
        rest_keyword = "items" if tuple_keyword == "prefixItems" else "additionalItems"
        if isinstance(self.schema.get(tuple_keyword), list):
            prefix = tuple(self.sub(tuple_keyword, i) for i in range(len(self.schema[tuple_keyword])))
        else:
            prefix, rest_keyword = (), "items"
        rest = self.sub(rest_keyword) if rest_keyword in self.schema else TRUE
        contains: tuple[Contains, ...] = ()
        if "contains" in self.schema:
            least = self.count("minContains", 1)
            contains = (Contains(self.sub("contains"), least if least is not None else 1, self.count("maxContains")),)
        n_seen = ALL_ITEMS if rest_keyword in self.schema else len(prefix)
        n_seen = n_seen if self.document.has_unevaluated else 0
        is_unique = self.get("uniqueItems", bool, False)
        least, most = self.count("minItems") or 0, self.count("maxItems")
        return Arrays(prefix, rest, least, most, contains, self.at("uniqueItems") if is_unique else None, n_seen)

    def objects(self) -> Objects:
        properties = self.members("properties")
        patterns = {self.pattern(p): expr for p, expr in self.members("patternProperties").items()}
        rules = [(Keys(inside=(dfa,)), expr) for dfa, expr in patterns.items()]
        seen = Seen(frozenset(properties), tuple(patterns), "additionalProperties" in self.schema)
        if "additionalProperties" in self.schema:
            others = Keys(frozenset(properties), outside=tuple(patterns))
            rules.append((others, self.sub("additionalProperties")))
        return Objects(
            tuple(properties.items()),
            tuple(dict.fromkeys(self.names("required"))),
            tuple((keys, expr) for keys, expr in rules if expr != TRUE),
            (),
            self.count("minProperties") or 0,
            self.count("maxProperties"),
            seen if self.document.has_unevaluated else Seen(),
        )

    def pattern(self, pattern: str) -> Dfa:
        """The keys that a member of patternProperties speaks of."""
        try:
            return search(pattern)
        except GrammarError as error:
            raise SchemaError(self.at("patternProperties", pattern), str(error)) from None

    def dependencies(self) -> list[tuple[str, Expr | tuple[str, ...]]]:
        """Of a property that is there: other properties that must be, or a schema that holds."""
        found: list[tuple[str, Expr | tuple[str, ...]]] = []
        for keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
            for name, value in self.get(keyword, dict, {}).items():
                if isinstance(value, list):
                    found.append((name, tuple(self.names(keyword, name))))
                else:
                    found.append((name, self.sub(keyword, name)))
        return found


def keys_outside(shapes: tuple[Shape, ...]) -> list[Keys]:
    """The keys that propertyNames forbids, given the shapes that it allows."""
    allowed = [s for s in shapes if isinstance(s, Strings)]
    forbidden = [opposite(s.whole_dfa()) for s in allowed]
    return [Keys(inside=tuple(forbidden))] if allowed else [Keys()]


def to_fraction(pointer: str, value: Any) -> Fraction:
    check_number(pointer, value)
    return Fraction(repr(value))


def literal_shape(text: str, pointer: str = "") -> Shape:
    """The shape of one JSON value."""
    value = json.loads(text)
    if value is None:
        return Null()
    if isinstance(value, bool):
        return Bools(frozenset([value]))
    if isinstance(value, str):
        return Strings((value,))
    if isinstance(value, list):
        return Arrays(tuple(Literal(json.dumps(v)) for v in value), FALSE, len(value), len(value))
    if isinstance(value, dict):
        properties = tuple((name, Literal(json.dumps(v))) for name, v in value.items())
        return Objects(properties, tuple(value), ((Keys(frozenset(value)), FALSE),))
    number = to_fraction(pointer, value)
    return Numbers(number, number)
