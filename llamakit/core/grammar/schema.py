"""JSON schemas: what an expression of schemas allows, as a choice of shapes.

Every keyword that restricts values either holds or is refused with its pointer. Formats that `schema_formats` does not
know, and keywords that JSON Schema does not, are notes and mean nothing, as its specification says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations

from llamakit.core.grammar.fuel import spend
from llamakit.core.grammar.schema_document import Document, SchemaError, describe, join
from llamakit.core.grammar.schema_keywords import Keywords, keys_outside, literal_shape
from llamakit.core.grammar.schema_shapes import (
    ALL_ITEMS,
    ANYTHING,
    FALSE,
    TRUE,
    AllOf,
    AnyOf,
    Arrays,
    At,
    Expr,
    Keys,
    Literal,
    Not,
    Objects,
    Seen,
    Shape,
    meet,
    meet_all,
)
from llamakit.core.grammar.schema_strings import Strings, merge_literals

LITERAL = 2  # steps
MOST_SHAPES = 2000
MOST_NESTED = 60  # schemas within schemas about the same value
MOST_TOGETHER = 6
LOOKED_INTO = 5  # levels of objects and arrays that are searched for contradictions
TYPES = ("null", "boolean", "number", "integer", "string", "array", "object")
REFUSED = ("extends", "disallow", "divisibleBy")  # of drafts before 4

Shapes = tuple[Shape, ...]


class Schemas:
    """Shapes of expressions over one document, each worked out once."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.known: dict[Expr, Shapes] = {}
        self.open: list[str] = []  # pointers of the schemas being read, each within the one before
        self.n_open = 0  # with those of other values, that are looked at in between
        self.checked: dict[Expr, bool] = {}
        self.pointer = ""  # where errors are: the schema that was read last

    def shapes(self, expr: Expr) -> Shapes:
        """What an expression allows. Raises SchemaError for what is wrong or cannot be held to."""
        if expr not in self.known:
            found = list(dict.fromkeys(self.work_out(expr)))
            if len(found) > MOST_SHAPES:
                raise SchemaError(self.pointer, f"the combinations of its parts are more than {MOST_SHAPES}")
            self.known[expr] = tuple(found)
        return self.known[expr]

    def work_out(self, expr: Expr) -> Iterable[Shape]:
        match expr:
            case At(pointer):
                return self.read(pointer)
            case Literal(text):
                return [literal_shape(text, self.pointer)]
            case AnyOf(parts):
                return self.any_of(parts)
            case Not(part):
                return self.negation(self.shapes(part))
            case AllOf(parts):
                return self.meet(ANYTHING, *map(self.shapes, sorted(parts, key=repr)))

    def any_of(self, parts: tuple[Expr, ...]) -> list[Shape]:
        """One of the parts holds. Where it matters what keywords have looked at, also: several of them hold."""
        found = [shape for part in parts for shape in self.shapes(part)]
        if self.document.has_unevaluated and len(parts) > 1:
            if len(parts) > MOST_TOGETHER:
                raise SchemaError(self.pointer, f"anyOf with more than {MOST_TOGETHER} parts beside unevaluated...")
            for n in range(2, len(parts) + 1):
                for chosen in combinations(parts, n):
                    found += self.meet(*map(self.shapes, chosen))
        return found

    def meet(self, *choices: Iterable[Shape]) -> list[Shape]:
        """Shapes that are in every one of the choices."""
        found: list[Shape] = [*choices[0]]
        for choice in choices[1:]:
            found = meet_all(found, choice)
            if len(found) > MOST_SHAPES:
                raise SchemaError(self.pointer, f"the combinations of its parts are more than {MOST_SHAPES}")
        return found

    def negation(self, shapes: Shapes) -> list[Shape]:
        """All values that no shape allows."""
        found: list[Shape] = []
        for whole in ANYTHING:
            left: list[Shape] = [whole]
            for shape in shapes:
                if type(shape) is type(whole):
                    parts = shape.negation()
                    if parts is None:
                        raise SchemaError(self.pointer, "uniqueItems cannot be negated, as not, if or oneOf here need")
                    left = self.meet(left, parts)
            found += left
        return found

    # reading
    def read(self, pointer: str) -> list[Shape]:
        schema = self.document.at(pointer)
        if isinstance(schema, bool):
            return [*ANYTHING] if schema else []
        if pointer in self.open:
            raise SchemaError(pointer, "the schema refers to itself with nothing in between")
        if self.n_open >= MOST_NESTED:
            raise SchemaError(pointer, f"more than {MOST_NESTED} schemas are nested about the same value")
        self.open.append(pointer)
        self.n_open += 1
        try:
            return self.read_object(Keywords(self.document, pointer))
        finally:
            self.open.pop()
            self.n_open -= 1

    def read_object(self, k: Keywords) -> list[Shape]:
        self.pointer = k.pointer
        schema = k.schema
        for keyword in REFUSED:
            if keyword in schema:
                raise SchemaError(k.at(keyword), "this keyword is not supported")
        if "$ref" in schema and self.document.draft <= 7:
            return [*self.shapes(self.reference(k, "$ref"))]  # its siblings mean nothing there
        found = self.own(k)
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            if keyword in schema:
                found = self.meet(found, self.shapes(self.reference(k, keyword)))
        for i in range(len(k.get("allOf", list, []))):
            found = self.meet(found, self.shapes(k.sub("allOf", i)))
        if "anyOf" in schema:
            options = [k.sub("anyOf", i) for i in range(len(k.get("anyOf", list, [])))]
            found = self.meet(found, self.shapes(AnyOf(tuple(options))))
        if "oneOf" in schema:
            found = self.meet(found, self.one_of([k.sub("oneOf", i) for i in range(len(k.get("oneOf", list, [])))]))
        if "not" in schema:
            found = self.meet(found, self.shapes(Not(k.sub("not"))))
        if "if" in schema:
            found = self.meet(found, self.condition(k))
        for name, needed in k.dependencies():
            found = self.meet(found, self.dependency(name, needed))
        self.pointer = k.pointer
        return self.unevaluated(k, found)

    def own(self, k: Keywords) -> list[Shape]:
        """What the keywords about types and values say."""
        schema = k.schema
        names = schema.get("type", list(TYPES))
        names = names if isinstance(names, list) else [names]
        for name in names:
            if name not in TYPES:
                raise SchemaError(k.at("type"), f"a type is one of {', '.join(TYPES)}, not {describe(name)}")
        wanted = [n for n in dict.fromkeys(names) if n != "integer" or "number" not in names]
        found: list[Shape] = [k.shape(name) for name in wanted]
        found = [s for s in found if not getattr(s, "is_empty", False)]
        found = [s for shape in found if (s := shape.settled() if isinstance(shape, Arrays) else shape) is not None]
        for keyword in ("const", "enum"):
            if keyword in schema:
                values = [schema["const"]] if keyword == "const" else k.get("enum", list, [])
                found = self.meet(literal_shapes(values, k.at(keyword)), found)
        if "propertyNames" in schema:
            allowed = k.with_pointer("propertyNames", lambda: keys_outside(self.shapes(k.sub("propertyNames"))))
            rules = tuple((keys, FALSE) for keys in allowed)
            found = self.meet(found, [*ANYTHING[:-1], Objects(rules=rules)])
        return found

    def reference(self, k: Keywords, keyword: str) -> Expr:
        """The schema that is referred to. References that depend on where one came from must have but one answer."""
        ref = k.schema[keyword]
        if keyword == "$dynamicRef" and isinstance(ref, str):
            homes = self.document.dynamic.get(ref.rpartition("#")[2], [])
            if len(homes) > 1:
                raise SchemaError(k.at(keyword), "$dynamicRef with more than one such $dynamicAnchor is not supported")
        if keyword == "$recursiveRef" and len(self.document.resources) > 2:
            raise SchemaError(k.at(keyword), "$recursiveRef across schemas is not supported")
        return At(self.document.resolve(k.at(keyword), ref))

    def one_of(self, options: list[Expr]) -> list[Shape]:
        """Exactly one holds: where two might, each is taken without the other."""
        choices = [self.shapes(option) for option in options]
        found: list[Shape] = []
        for i, choice in enumerate(choices):
            only = [*choice]
            for j, other in enumerate(choices):
                if i != j and not self.is_apart(only, other):
                    only = self.meet(only, self.negation(other))
            found += only
        return found

    def condition(self, k: Keywords) -> list[Shape]:
        condition = k.sub("if")
        then = k.sub("then") if "then" in k.schema else TRUE
        otherwise = k.sub("else") if "else" in k.schema else TRUE
        holds = self.meet(self.shapes(condition), self.shapes(then))
        return holds + self.meet(self.shapes(Not(condition)), self.shapes(otherwise))

    def dependency(self, name: str, needed: Expr | tuple[str, ...]) -> list[Shape]:
        """The property is not there, or what it needs is."""
        absent = Objects(properties=((name, FALSE),))
        if isinstance(needed, tuple):
            return [*ANYTHING[:-1], absent, Objects(required=(name, *needed))]
        present = self.meet([Objects(required=(name,))], self.shapes(needed))
        return [*ANYTHING[:-1], absent, *present]

    def unevaluated(self, k: Keywords, shapes: list[Shape]) -> list[Shape]:
        """unevaluatedItems and unevaluatedProperties: for what no other keyword here has looked at."""
        for keyword in ("unevaluatedItems", "unevaluatedProperties"):
            if keyword in k.schema:
                value = k.sub(keyword)
                is_items = keyword == "unevaluatedItems"
                looked = [self.rest_items(s, value) if is_items else rest_properties(s, value) for s in shapes]
                shapes = [s for s in looked if s is not None]
        return shapes

    def rest_items(self, shape: Shape, value: Expr) -> Shape | None:
        if not isinstance(shape, Arrays) or shape.n_seen == ALL_ITEMS:
            return shape
        allowed = AnyOf((value, *(c.item for c in shape.contains))) if shape.contains and value != TRUE else value
        met = shape.meet(Arrays((TRUE,) * shape.n_seen, allowed))
        return replace(met, n_seen=ALL_ITEMS) if met else None

    # contradictions
    def is_apart(self, a: Iterable[Shape], b: Iterable[Shape]) -> bool:
        """Whether no value is in both choices, as far as that is easily seen."""
        b = list(b)
        return all(self.is_impossible(m, 0) for x in a for y in b if (m := meet(x, y)) is not None)

    def is_impossible(self, shape: Shape, depth: int) -> bool:
        """Whether no value has this shape, as far as is easily seen."""
        if isinstance(shape, Objects):
            return any(self.is_false(value, depth) for value in shape.values(shape.required).values())
        if isinstance(shape, Arrays):
            return any(self.is_false(shape.item(i), depth) for i in range(min(shape.least, len(shape.prefix) + 1)))
        return False

    def is_false(self, expr: Expr, depth: int) -> bool:
        if depth >= LOOKED_INTO or expr in (TRUE, FALSE):
            return expr == FALSE
        if expr not in self.checked:
            with self.elsewhere():
                self.checked[expr] = False  # what contains itself is not searched again
                self.checked[expr] = all(self.is_impossible(s, depth + 1) for s in self.shapes(expr))
        return self.checked[expr]

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Look at another value's schema: it may well refer to those that are being read."""
        outer, pointer = self.open, self.pointer
        self.open = []
        try:
            yield
        finally:
            self.open, self.pointer = outer, pointer


def rest_properties(shape: Shape, value: Expr) -> Shape | None:
    if not isinstance(shape, Objects) or shape.seen.is_all:
        return shape
    rest = Keys(shape.seen.names, outside=shape.seen.patterns)
    met = shape.meet(Objects(rules=((rest, value),) if value != TRUE else ()))
    return replace(met, seen=Seen(is_all=True)) if met else None


def literal_shapes(values: list[object], pointer: str) -> list[Shape]:
    """The shapes of JSON values, strings in one. Raises SchemaError for more others than can be told apart."""
    if sum(not isinstance(value, str) for value in values) > MOST_SHAPES:
        raise SchemaError(pointer, f"more than {MOST_SHAPES} values that are no strings")
    spend(LITERAL * len(values))
    shapes: list[Shape] = []
    strings: list[Strings] = []
    for i, value in enumerate(values):
        shape = literal_shape(json.dumps(value), join(pointer, i))
        if isinstance(shape, Strings):
            strings.append(shape)
        else:
            shapes.append(shape)
    return [*shapes, *merge_literals(strings)]
