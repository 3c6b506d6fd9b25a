"""Texts written under a schema token by token: they never come to a dead end, and are valid in the end (fault 64)."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamakit.core.grammar.grammar import Grammar
from llamakit.core.grammar.schema_rules import JsonStyle, schema_rules
from tests.core.grammar.tokens import Tokens, mask_of

INTEGER, ONE = {"type": "integer"}, {"const": 1}
WORDS = ("\\u00", '": ', ', "', "é", "aa", "b]", "],", "}}", '"]', " 1")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": INTEGER, "b": {"type": "boolean"}}, "additionalProperties": False},
        {"type": "object", "maxProperties": 2},
        {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"], "maxProperties": 1},
        {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "minProperties": 2},
        {"type": "object", "patternProperties": {"^x{1,2}$": INTEGER}, "additionalProperties": False},
        {"type": "array", "maxItems": 2, "items": INTEGER},
        {"type": "array", "uniqueItems": True, "items": {"enum": ["a", "b", 1]}},
        {"type": "array", "uniqueItems": True, "items": {"enum": ["a", "b", 1]}, "minItems": 3},
        {"type": "array", "prefixItems": [INTEGER, {"type": "boolean"}], "items": False},
        {"type": "array", "contains": ONE, "maxItems": 3},
        {"type": "array", "contains": ONE, "minContains": 2, "maxContains": 3, "maxItems": 4, "minItems": 3},
        {"type": "string", "maxLength": 2},
        {"type": "string", "pattern": "^é?a{0,3}$", "minLength": 1, "maxLength": 3},
        {"type": "string", "pattern": "^(ab|é)*$", "maxLength": 5},
        {"type": "integer", "minimum": 17, "maximum": 1000, "multipleOf": 7},
        {"anyOf": [{"contains": {"not": {}}, "type": "array"}, {"type": "null"}]},
        {"enum": ["é", [1, 2], {"a": {"b": None}}, -1.5]},
        {"type": "string", "format": "date"},
    ],
)  # fmt: skip
def test_fault_64_a_schema_leads_to_no_dead_end(schema: dict[str, Any]) -> None:
    vocab, grammar, rng = Tokens(*WORDS), Grammar(schema_rules(schema)), random.Random(1)
    for _ in range(30):
        matcher, text = grammar.matcher(vocab), b""
        for _ in range(80):
            allowed = mask_of(matcher)
            assert allowed, text
            likely = [t for t in allowed if vocab.pieces[t] in (b",", b"]", b"}", b'"', b"\\") or t == vocab.eos]
            token = rng.choice(likely if likely and rng.random() < 0.5 else allowed)
            matcher.accept(token)
            if token == vocab.eos:
                break
            text += vocab.pieces[token]
        if token == vocab.eos:
            json.loads(text)
            assert grammar.matches(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def schema_of(value: Any, is_exact: bool) -> Any:
    """A schema that a value fits; if it is exact, one whose keys and lengths are those of the value."""
    if isinstance(value, list):
        items = [schema_of(item, is_exact) for item in value]
        if not is_exact:
            return {"type": "array", "items": {"anyOf": [*items, {"type": "null"}]}}
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(value)}
    if isinstance(value, dict):
        properties = {name: schema_of(item, is_exact) for name, item in value.items()}
        return {"type": "object", "properties": properties, "required": [*value], "additionalProperties": not is_exact}
    return {"const": value} if is_exact else {"type": [type_of(value), "null"]}


def type_of(value: Any) -> str:
    names = {bool: "boolean", int: "integer", str: "string"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "null")


@settings(max_examples=60, deadline=None)
@given(JSON, JSON, st.booleans(), st.booleans())
def test_a_value_fits_the_schema_that_was_made_of_it(value: Any, other: Any, is_ascii: bool, has_spaces: bool) -> None:
    texts = [
        json.dumps(v, ensure_ascii=is_ascii, separators=None if has_spaces else (",", ":")) for v in (value, other)
    ]
    exact = Grammar(schema_rules(schema_of(value, True), JsonStyle(has_spaces=has_spaces)))
    assert exact.matches(texts[0])
    assert exact.matches(texts[1]) == is_equal(value, other)
    assert Grammar(schema_rules(schema_of(value, False))).matches(texts[0])


def is_equal(a: Any, b: Any) -> bool:
    """As JSON has it: true is not 1."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
