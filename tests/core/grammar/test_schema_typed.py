"""Parts without a type are of the one that their keywords speak of."""

from __future__ import annotations

from typing import Any

import pytest

from llamakit.core.grammar.grammar import Grammar
from llamakit.core.grammar.schema_closed import closed_rules
from llamakit.core.grammar.schema_typed import typed

INNER = {"properties": {"x": {"minimum": 0, "type": "integer"}}}


@pytest.mark.parametrize(
    ("schema", "text", "ok"),
    [
        (INNER, '{"x": 1}', True),
        (INNER, '"x"', False),
        ({"required": ["x"]}, '{"x": 1}', True),
        ({"required": ["x"]}, "1", False),
        ({"additionalProperties": {"type": "integer"}}, "[]", False),
        ({"additionalProperties": False}, "{}", True),
        ({"additionalProperties": True}, "[]", True),
        ({"type": "array", "items": INNER}, "[1]", False),
        ({"properties": {"a": INNER}, "required": ["a"]}, '{"a": null}', False),
        ({"allOf": [INNER, {"properties": {"y": {"type": "integer"}}}]}, "null", False),
        ({"allOf": [INNER, {"properties": {"y": {"type": "integer"}}}]}, '{"x": 1, "y": 2}', True),
        ({"anyOf": [INNER, {"type": "null"}]}, "1", False),
        ({"anyOf": [INNER, {"type": "null"}]}, "null", True),
        ({"oneOf": [INNER, {"type": "string"}]}, '{"x": 1}', True),
        ({"$ref": "#/$defs/I", "$defs": {"I": INNER}}, "true", False),
        ({**INNER, "anyOf": [{"required": ["x"]}, {"required": ["y"]}]}, "1", False),
        ({"items": {"type": "integer"}}, "[1]", True),
        ({"items": {"type": "integer"}}, "{}", False),
        ({"pattern": "^a$"}, '"a"', True),
        ({"pattern": "^a$"}, "1", False),
        ({"format": "date"}, "1", False),
        ({"format": "of ours"}, "1", True),
        ({"enum": [1, "a"], "minLength": 1}, "1", True),
        ({"const": 1, "properties": {}}, "1", True),
        ({"description": "anything"}, "1", True),
    ],
)
def test_parts_are_of_the_type_that_they_speak_of(schema: Any, text: str, ok: bool) -> None:
    assert Grammar(closed_rules(schema)).matches(text) is ok


@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["object", "null"], **INNER},
        {"type": "object", "not": {"required": ["x"]}, "if": {"properties": {}}},
        {"type": "object", "properties": {"properties": {"type": "integer"}, "required": {"type": "null"}}},
        {"type": "object", "default": {"properties": {}}, "examples": [{"required": []}]},
        {"enum": [{"properties": {}}]},
        True,
    ],
)
def test_what_says_its_type_or_is_no_demand_stays(schema: Any) -> None:
    assert typed(schema) == schema
