"""Schemas that are hostile or extreme (faults 63 and 65)."""

from __future__ import annotations

import gc
import json
import time
from importlib import import_module
from typing import Any
from weakref import WeakSet

import pytest

from llamakit.core.grammar.errors import GrammarError
from llamakit.core.grammar.grammar import Grammar
from llamakit.core.grammar.schema_rules import schema_rules
from tests.core.grammar.tokens import Tokens, mask_of

WORDS = [f"w{i}" for i in range(200)]
ALL_OF_MANY = {
    "properties": {f"p{i}": {"type": "integer"} for i in range(600)},
    "required": [f"p{i}" for i in range(600)],
}


def grammar(schema: Any) -> Grammar:
    return Grammar(schema_rules(schema))


@pytest.mark.parametrize(
    "schema, good, bad",
    [
        ("nested", "[" * 300 + "1" + "]" * 300, "[" * 300 + "x"),
        ({"enum": [f"value {i}" for i in range(20_000)]}, '"value 19999"', '"value 20000"'),
        ({"type": "string", "minLength": 10**5}, '"' + "x" * 10**5 + '"', '"x"'),
        ({"type": "array", "minItems": 10**9}, None, "[1]"),
        ({"properties": {"a": {"$ref": "#"}}, "type": "object"}, '{"a":' * 50 + "{}" + "}" * 50, "[]"),
        ({"required": [f"p{i}" for i in range(1000)]}, None, "{}"),
        ({"maximum": 1e308, "type": "number"}, "5", "1" + "0" * 308 + "1"),
        (ALL_OF_MANY, json.dumps({f"p{i}": 1 for i in range(600)}), json.dumps({f"p{i}": 1 for i in range(599)})),
        (
            {"oneOf": [{"required": ["k"], "properties": {"k": {"const": i}}} for i in range(40)]},
            '{"k": 39}',
            '{"k": 40}',
        ),
        ({"uniqueItems": True, "items": {"enum": WORDS}, "type": "array"}, json.dumps(WORDS), '["w1", "w2", "w1"]'),
    ],
    ids=["nested", "enum", "minLength", "minItems", "recursive", "required", "number", "many", "union", "unique"],
)
def test_fault_63_extreme_schemas_work(schema: Any, good: str | None, bad: str) -> None:
    if schema == "nested":
        schema = {"type": "integer"}
        for _ in range(300):
            schema = {"items": schema, "type": "array"}
    g = grammar(schema)
    assert not g.matches(bad)
    assert good is None or g.matches(good)


def conjunctions(n: int) -> Any:
    """Objects whose member is two of the others at once: sets of them, of which there are many."""
    names = [f"#/$defs/{i}" for i in range(n)]
    members = [[{"$ref": names[2 * i % n]}, {"$ref": names[(i + 1) % n]}] for i in range(n)]
    defs = {
        str(i): {"properties": {"x": {"allOf": both}, "y": {"$ref": names[(5 * i + 3) % n]}}}
        for i, both in enumerate(members)
    }
    return {"$defs": defs, "allOf": [{"$ref": names[0]}, {"$ref": names[1]}]}


@pytest.mark.parametrize(
    "schema, message",
    [
        ("[" * 100_000, "nested too deeply"),
        ("nested allOf", "more than 60 schemas are nested"),
        ({"type": "string", "pattern": "(a|b)*a(a|b){20}$"}, "more than 20000 states"),
        ({"enum": [*range(100_000)]}, "at /enum: more than 2000 values that are no strings"),
        ({"items": {"maximum": 10**3000}}, "at /items/maximum: numbers beyond 1e400 are not supported"),
        ('{"minimum": -1e999}', "at /minimum: a number is expected, not the number -inf"),
        ({"pattern": "(?<=a)b"}, "at /pattern: .* look-around is not supported"),
        ({"pattern": "*"}, "at /pattern: .* there is nothing to repeat before this"),
        ({"multipleOf": 99991}, "more than 20000 states"),
        ({"enum": [f"text {i}" for i in range(200_000)]}, "it is too large"),
        ({"properties": {f"p{i}": {} for i in range(20_000)}}, "it is too large"),
        ("conjunctions", "this takes too long to work out: it is too large, or its parts combine in too many ways"),
        ({"allOf": [{"anyOf": [{"required": [f"{i}{j}"]} for i in range(8)]} for j in range(8)]}, "combinations"),
        (
            {"patternProperties": {f"x{i}": {} for i in range(10)}, "additionalProperties": False},
            "more than 6 patterns",
        ),
    ],
    ids=[
        "text",
        "allOf",
        "pattern",
        "enum",
        "number",
        "infinite",
        "lookbehind",
        "star",
        "multiple",
        "texts",
        "properties",
        "conjunctions",
        "combinations",
        "keys",
    ],
)
def test_fault_63_schemas_that_explode_are_refused_in_time(schema: Any, message: str) -> None:
    if schema == "conjunctions":
        schema = conjunctions(24)
    if schema == "nested allOf":
        schema = True
        for _ in range(1000):
            schema = {"allOf": [schema, {"minLength": 1}]}
    start = time.process_time()
    with pytest.raises(GrammarError, match=message) as error:
        grammar(schema)
    assert len(str(error.value)) < 500
    assert time.process_time() - start < 10


def test_fault_65_nothing_is_left_of_grammars_that_are_gone() -> None:
    vocab, alive = Tokens("ab"), WeakSet[object]()
    for i in range(200):
        g = grammar(
            {
                "type": "object",
                "properties": {f"p{i}": {"type": "string", "pattern": f"^a{{{i}}}$"}},
                "maxProperties": i,
            }
        )
        matcher = g.matcher(vocab)
        assert mask_of(matcher) == [ord("{")]
        alive.add(matcher.automaton)
    del g, matcher
    gc.collect()
    assert len(alive) == 0


@pytest.mark.parametrize("module", ["regex", "regex_dfa", "schema_strings", "schema_numbers", "json_text", "charset"])
def test_fault_65_caches_are_bounded(module: str) -> None:
    functions = vars(import_module(f"llamakit.core.grammar.{module}")).values()
    caches = [f.cache_parameters() for f in functions if hasattr(f, "cache_parameters")]
    assert caches and all(cache["maxsize"] is not None for cache in caches)


def test_fault_63_a_pattern_that_backtracks_elsewhere_is_harmless() -> None:
    g = grammar({"type": "string", "pattern": "^(a+)+$"})
    assert g.matches('"' + "a" * 5000 + '"') and not g.matches('"' + "a" * 5000 + '!"')
