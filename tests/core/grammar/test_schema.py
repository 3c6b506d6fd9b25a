"""JSON schemas: which texts they allow, and what is refused (faults 63 and 65)."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from typing import Any

import pytest

from llamakit.core.grammar.grammar import Grammar
from llamakit.core.grammar.schema_document import SchemaError
from llamakit.core.grammar.schema_numbers import Numbers, number_dfa
from llamakit.core.grammar.schema_rules import JsonStyle, schema_rules


def grammar(schema: Any, style: JsonStyle = JsonStyle()) -> Grammar:  # noqa: B008
    return Grammar(schema_rules(schema, style))


def wrong(schema: Any, valid: list[Any], invalid: list[Any]) -> list[str]:
    """The values that are judged wrongly, in any of the ways to write them."""
    g, found = grammar(schema), []
    for values, expected in ((valid, True), (invalid, False)):
        for value in values:
            for text in {json.dumps(value, ensure_ascii=a, indent=i) for a in (True, False) for i in (None, 2)}:
                if g.matches(text) != expected:
                    found.append(text)
    return found


STRING, INTEGER = {"type": "string"}, {"type": "integer"}
TREE = {
    "$defs": {"node": {"properties": {"v": INTEGER, "next": {"$ref": "#/$defs/node"}}, "additionalProperties": False}},
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    "schema, valid, invalid",
    [
        (True, [None, 1, "a", [], {}, {"a": [1, {"b": None}]}], []),
        ({}, [None, -1.5e9, [[], {}]], []),
        ({"type": "null"}, [None], [0, "null"]),
        ({"type": ["string", "null"]}, ["", None], [1]),
        ({"type": "integer"}, [0, -12, 1.0], [1.5, "1"]),
        ({"type": ["integer", "number"]}, [1.5, 2], ["1"]),
        ({"const": {"a": [1, "é"]}}, [{"a": [1, "é"]}], [{"a": [1, "e"]}, {"a": [1, "é"], "b": 1}]),
        ({"enum": ["a", 1, None, [1]]}, ["a", 1, None, [1]], ["b", 2, True, [1, 1]]),
        ({"enum": ["a", "b"], "const": "b"}, ["b"], ["a"]),
        ({"const": 1}, [1, 1.0], [1.5, 11, True]),
        ({"enum": [0.5, -2]}, [0.5, -2, -2.0], [0, 2]),
        # strings
        ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "a\n\"", "é😀x"], ["a", "abcd", 12]),
        ({"minLength": 2}, ["ab", 1, []], ["a"]),
        ({"type": "string", "maxLength": 0}, [""], ["a"]),
        ({"pattern": "b"}, ["abc", 5], ["ac"]),
        ({"type": "string", "pattern": "^a|b$"}, ["ax", "xb"], ["xa", "bx"]),
        ({"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 3}, ["ab", "abc"], ["a", "abcd", "a1"]),
        ({"type": "string", "pattern": "^.{3,70000}$"}, ["abc", "x" * 500], ["ab"]),
        ({"type": "string", "pattern": r"^\d+$", "not": {"enum": ["12"]}}, ["1", "13"], ["12", "a"]),
        ({"type": "string", "format": "date"}, ["2024-02-29"], ["2023-02-29", "x"]),
        ({"format": "iri"}, ["http://é.org/?\ue000", 1], ["a b", "/é"]),
        ({"format": "iri-reference"}, ["/é", ""], ["/é b"]),
        ({"format": "uri-template"}, ["a{+b,c:3}{?d*}é", ""], ["{", "{a,}"]),
        ({"type": "string", "format": "made-up"}, ["anything"], [1]),
        # numbers
        ({"type": "integer", "minimum": -5, "maximum": 120}, [-5, 0, 99, 120], [-6, 121, 1000, 5.5]),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, [0.5, 0.001, 0.999], [0, 1, -0.5, 1.5]),
        ({"minimum": 1, "exclusiveMinimum": 1, "maximum": 9, "exclusiveMaximum": 8}, [1.1, 7.9, "x"], [1, 8, 9]),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True}, [2], [1]),
        ({"type": "number", "minimum": 0}, [0, 3, 1e20, 2.5e-7], [-1, -0.1, -1e3]),
        ({"type": "integer", "multipleOf": 7}, [0, 7, -14, 70], [1, 8]),
        ({"type": "number", "multipleOf": 0.25}, [0.25, 1, 1.5, -2.75], [0.3, 1.1]),
        ({"type": "number", "multipleOf": 4, "not": {"multipleOf": 3}}, [4, 8], [12, 3]),
        # arrays
        ({"type": "array", "items": INTEGER}, [[], [1], [1, 2, 3]], [["a"], [1, "a"], {}]),
        ({"items": INTEGER, "minItems": 1, "maxItems": 3}, [[1], [1, 2, 3], "x"], [[], [1, 2, 3, 4], ["a"]]),
        ({"type": "array", "minItems": 3}, [[1, 2, 3], [1, 2, 3, 4]], [[1, 2]]),
        ({"type": "array", "maxItems": 0}, [[]], [[1]]),
        ({"prefixItems": [INTEGER, STRING], "items": False}, [[], [1], [1, "a"]], [["a"], [1, "a", 1]]),
        ({"prefixItems": [INTEGER], "items": STRING, "minItems": 2}, [[1, "a"], [1, "a", "b"]], [[1], [1, 2]]),
        ({"items": [INTEGER, STRING], "additionalItems": False}, [[1, "a"], [1]], [[1, "a", 1], ["a"]]),
        ({"type": "array", "contains": INTEGER}, [[1], ["a", 1, "b"]], [[], ["a"]]),
        ({"type": "array", "contains": INTEGER, "minContains": 2, "maxContains": 3},
         [[1, "a", 2], [1, 2, 3]], [[1], [1, 2, 3, 4]]),
        ({"type": "array", "contains": INTEGER, "maxContains": 1}, [[1], ["a", 1]], [[], [1, 2]]),
        ({"type": "array", "items": {"enum": ["a", "b", 1]}, "uniqueItems": True},
         [[], ["b", "a"], [1, "a", "b"]], [["a", "a"], ["a", 1, "a"]]),
        ({"uniqueItems": True, "maxItems": 1}, [[], [5]], [[1, 2]]),
        ({"prefixItems": [INTEGER], "unevaluatedItems": STRING}, [[1], [1, "a"]], [[1, 2]]),
        # objects
        ({"type": "object"}, [{}, {"a": 1, "b": {}}], [[]]),
        ({"properties": {"a": INTEGER, "b": STRING}}, [{}, {"a": 1}, {"b": "x", "a": 1}, {"c": 1}], [{"a": "x"}]),
        ({"properties": {"a": INTEGER}, "required": ["a"], "additionalProperties": False},
         [{"a": 1}], [{}, {"a": 1, "b": 1}, {"b": 1}]),
        ({"properties": {"a": {}}, "additionalProperties": INTEGER}, [{"a": "x", "b": 1}], [{"a": 1, "b": "x"}]),
        ({"required": ["a", "b"]}, [{"b": 1, "a": 2}, {"c": 0, "a": 1, "b": 2}, 5], [{"a": 1}]),
        ({"properties": {"a": False}}, [{}, {"b": 1}], [{"a": 1}]),
        ({"patternProperties": {"^x": INTEGER, "y$": {"minimum": 5}}},
         [{"x1": 1, "y": 5, "xy": 6, "z": "a"}, {"1y": "s"}], [{"x": "a"}, {"xy": 1}, {"xy": "a"}]),
        ({"patternProperties": {"^x": INTEGER}, "additionalProperties": False}, [{"x1": 1}], [{"y": 1}, {"x": "a"}]),
        ({"propertyNames": {"pattern": "^[a-z]+$", "maxLength": 3}}, [{"abc": 1}, {}], [{"A": 1}, {"abcd": 1}]),
        ({"propertyNames": {"enum": ["a", "b"]}}, [{"a": 1}], [{"c": 1}]),
        ({"minProperties": 1, "maxProperties": 2}, [{"a": 1}, {"a": 1, "b": 2}], [{}, {"a": 1, "b": 2, "c": 3}]),
        ({"properties": {"a": {}, "b": {}}, "required": ["b"], "maxProperties": 2},
         [{"b": 1}, {"b": 1, "a": 1}, {"c": 1, "b": 1}], [{"a": 1}, {"a": 1, "b": 1, "c": 1}]),
        ({"dependentRequired": {"a": ["b"]}}, [{}, {"b": 1}, {"a": 1, "b": 2}], [{"a": 1}]),
        ({"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}, [{"a": 1, "b": 1}, {"c": 1, "d": 1}], [{"c": 1}]),
        ({"dependentSchemas": {"a": {"properties": {"b": INTEGER}}}}, [{"b": "x"}, {"a": 1, "b": 1}],
         [{"a": 1, "b": "x"}]),
        ({"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}], "unevaluatedProperties": False},
         [{"a": 1, "b": 1}], [{"c": 1}]),
        ({"properties": {f"p{i}": INTEGER for i in range(100)}, "additionalProperties": False},
         [{"p99": 1, "p0": 2}, {f"p{i}": 1 for i in range(100)}], [{"p100": 1}, {"p1": "a"}]),
        # combinations
        ({"allOf": [{"minimum": 3}, {"maximum": 5}, INTEGER]}, [3, 5], [2, 6, 4.5, "a"]),
        ({"anyOf": [STRING, {"minimum": 5}], "maxLength": 2}, ["ab", 5, True], ["abc", 4]),
        ({"oneOf": [{"multipleOf": 3}, {"multipleOf": 5}]}, [3, 5, 9], [15, 4, "x"]),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, [{"a": 1}, {"b": 1}], [{"a": 1, "b": 1}, {}, 5]),
        ({"oneOf": [{"properties": {"t": {"const": "x"}, "v": INTEGER}, "required": ["t"]},
                    {"properties": {"t": {"const": "y"}, "v": STRING}, "required": ["t"]}], "type": "object"},
         [{"t": "x", "v": 1}, {"t": "y", "v": "s"}], [{"t": "x", "v": "s"}, {"v": 1}]),
        ({"not": {"type": ["string", "object"]}}, [1, None, []], ["a", {}]),
        ({"not": {"properties": {"a": INTEGER}}, "type": "object"}, [{"a": "x"}], [{}, {"a": 1}]),
        ({"not": {"items": INTEGER}, "type": "array"}, [["a"], [1, "a"]], [[], [1]]),
        ({"not": {"additionalProperties": INTEGER}, "type": "object"}, [{"a": "x"}, {"b": 1, "a": ""}], [{}, {"a": 1}]),
        ({"not": {"minLength": 2}}, ["a", ""], ["ab", 1]),
        ({"if": {"properties": {"k": {"const": 1}}, "required": ["k"]}, "then": {"required": ["a"]},
          "else": {"required": ["b"]}}, [{"k": 1, "a": 0}, {"b": 0}, {"k": 2, "b": 0}], [{"k": 1, "b": 0}, {"k": 2}]),
        # references
        (TREE, [{}, {"v": 1, "next": {"next": {}}}], [{"next": {"v": "x"}}, {"x": 1}]),
        ({"$anchor": "top", "properties": {"a": {"$ref": "#top"}}, "additionalProperties": False}, [{"a": {}}],
         [{"a": 1.0, "b": 1}]),
        ({"$id": "http://x/s", "$defs": {"i": {"$id": "int", "type": "integer"}}, "items": {"$ref": "int"}},
         [[1]], [["a"]]),
        ({"items": {"$ref": "#/$defs/a%25b~1c"}, "$defs": {"a%b/c": INTEGER}}, [[1]], [["a"]]),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/s", "maxLength": 1,
          "definitions": {"s": STRING}}, ["abc"], [1]),
        ({"$ref": "#/$defs/s", "maxLength": 1, "$defs": {"s": STRING}}, ["a"], ["abc", 1]),
        ({"properties": {"$ref": STRING}, "additionalProperties": False}, [{"$ref": "a"}], [{"$ref": 1}]),
    ],
)  # fmt: skip
def test_a_schema_allows_its_values_and_no_others(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    assert wrong(schema, valid, invalid) == []


@pytest.mark.parametrize(
    "schema, pointer, message",
    [
        ({"type": "strnig"}, "/type", "a type is one of null, boolean, number"),
        ({"properties": {"a/b": {"pattern": "(?=x)"}}}, "/properties/a~1b/pattern", "look-around is not supported"),
        ({"patternProperties": {"a(": {}}}, "/patternProperties/a(", "never closed"),
        ({"items": {"uniqueItems": True}}, "/items/uniqueItems", "only for items out of a list"),
        ({"items": {"extends": {}}}, "/items/extends", "not supported"),
        ({"items": {"format": "regex"}}, "/items/format", "the format regex is not supported"),
        ({"$ref": "https://example.com/x.json"}, "/$ref", "nothing is fetched"),
        ({"$ref": "file:///etc/passwd"}, "/$ref", "nothing is fetched"),
        ({"$ref": "#/$defs/none"}, "/$ref", "leads nowhere"),
        ({"$ref": 5}, "/$ref", "a reference is a string"),
        ({"$ref": "#"}, "", "refers to itself with nothing in between"),
        ({"allOf": [{"$ref": "#"}]}, "", "refers to itself"),
        ({"minLength": -1}, "/minLength", "a number of things is expected, not the number -1"),
        ({"minimum": "1"}, "/minimum", "a number is expected, not the string '1'"),
        ({"multipleOf": 0}, "/multipleOf", "above 0"),
        ({"required": "a"}, "/required", "an array of property names"),
        ({"properties": []}, "/properties", "an object is expected, not an array"),
        ({"properties": {"a": 1}}, "/properties/a", "a schema is an object or a boolean, not the number 1"),
        ({"anyOf": {}}, "/anyOf", "an array is expected"),
        ([], "", "a schema is an object or a boolean, not an array"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "", "no JSON value fits it"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "", "no JSON value fits it"),
        ({"type": "string", "pattern": "^a{5}$", "maxLength": 3}, "", "no JSON value fits it"),
        ({"type": "array", "items": INTEGER, "minItems": 2, "maxItems": 1}, "", "no JSON value fits it"),
        (False, "", "no JSON value fits it"),
        ({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}}, "", "no JSON value fits it"),
        ({"type": "object", "required": ["a"], "additionalProperties": False, "minProperties": 3}, "", "no JSON value"),
        ({"enum": []}, "", "no JSON value fits it"),
        ('{"a": 1,}', "", "not valid JSON"),
        ('{"minimum": NaN}', "", "NaN is no JSON number"),
        ('{"a": 1, "a": 2}', "", "the key 'a' is there twice"),
    ],
)
def test_a_schema_that_cannot_be_held_to_is_refused_with_its_pointer(schema: Any, pointer: str, message: str) -> None:
    with pytest.raises(SchemaError) as error:
        grammar(schema)
    assert message in str(error.value)
    assert error.value.pointer == pointer
    assert f"at {pointer or 'its root'}: " in str(error.value)


def test_properties_stand_in_any_order_or_in_that_of_the_schema() -> None:
    schema = {"properties": {"b": INTEGER, "a": INTEGER, "c": INTEGER}, "required": ["a"]}
    ordered = grammar(schema, JsonStyle(is_ordered=True))
    for text, is_ordered in (
        ('{"b": 1, "a": 2}', True), ('{"a": 2, "c": 3, "x": 4}', True), ('{"a": 2, "b": 1}', False),
        ('{"x": 4, "a": 2}', False), ('{"b": 1, "c": 3, "a": 2}', False),
    ):  # fmt: skip
        assert grammar(schema).matches(text)
        assert ordered.matches(text) == is_ordered, text
    assert not grammar(schema).matches('{"a": 1, "a": 2}')


def test_spaces_may_be_left_out_or_forbidden_but_not_go_on_for_ever() -> None:
    schema = {"properties": {"a": {"items": INTEGER}}, "required": ["a"]}
    for text in ('{"a":[1,2]}', '{"a": [1, 2]}', '{ "a": [ 1, 2 ] }', '{\n  "a": [\r\n\t1,\n\n2\n]}'):
        assert grammar(schema).matches(text), text
        assert grammar(schema, JsonStyle(has_spaces=False)).matches(text) == (text == '{"a":[1,2]}')
    for text in ('{"a":   [1]}', '{"a":\n\n\n[1]}', '{"a":\n' + " " * 65 + "[1]}", ' {"a":[1]}', '{"a":[1]} '):
        assert not grammar(schema).matches(text), text


def test_characters_may_be_written_in_the_ways_of_json() -> None:
    g = grammar({"enum": ["é\n/", "😀"]})
    for text in (r'"é\n/"', r'"\u00e9\u000a\/"', r'"\u00E9\u000A/"', '"😀"', r'"\ud83d\ude00"', r'"\uD83D\uDE00"'):
        assert g.matches(text), text
    for text in ('"é\n/"', r'"\u00e8\n/"', r'"\ud83d"', '"😁"'):
        assert not g.matches(text), text
    assert grammar({"type": "string"}).matches(r'"\ud83d \u0041 \" \\ \/"')
    for text in ('"\x01"', r'"\x41"', r'"\u12"', '"a', "'a'"):
        assert not grammar({"type": "string"}).matches(text), text


@pytest.mark.parametrize(
    "numbers",
    [
        Numbers(Fraction(-5), Fraction(120), is_integer=True),
        Numbers(Fraction(-15, 10), Fraction(25, 10), excludes_low=True),
        Numbers(high=Fraction(-1, 2)),
        Numbers(low=Fraction(100), excludes_low=True),
        Numbers(Fraction(0), Fraction(1), excludes_high=True),
        Numbers(is_integer=False),
        Numbers(multiples=frozenset([(Fraction(1, 4), True), (Fraction(3), False)])),
        Numbers(low=Fraction(1), is_integer=True, multiples=frozenset([(Fraction(7), True)])),
    ],
)
def test_the_texts_of_numbers_are_those_of_numbers_within(numbers: Numbers) -> None:
    rng, dfa = random.Random(1), number_dfa(numbers)
    texts = ["0", "-0", "0.0", "-0.00", "00", "01", "1.", ".5", "-", "", "1.50", "100", "100.0", "100.01", "-0.5"]
    texts += [str(rng.randrange(-200, 200)) for _ in range(300)]
    texts += [f"{rng.uniform(-20, 130):.{rng.randrange(1, 4)}f}" for _ in range(300)]
    texts += [f"{rng.randrange(-9, 9)}.{rng.choice(['0', '00', '5', '25', '75', '125'])}" for _ in range(300)]
    for text in texts:
        assert dfa.accepts(text) == is_within(numbers, text), text


def is_within(n: Numbers, text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    value = Fraction(text)
    too_low = n.low is not None and (value < n.low or (n.excludes_low and value == n.low))
    too_high = n.high is not None and (value > n.high or (n.excludes_high and value == n.high))
    kind = n.is_integer is None or n.is_integer == (value.denominator == 1)
    kind = kind and not (n.is_integer and len(text.partition(".")[2]) > 1)
    return not too_low and not too_high and kind and all(((value / of).denominator == 1) == w for of, w in n.multiples)
