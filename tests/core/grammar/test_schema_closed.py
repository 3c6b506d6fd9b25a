"""Objects without properties that their schema does not name."""

from __future__ import annotations

import pytest

from llamakit.core.grammar.grammar import Grammar
from llamakit.core.grammar.schema_closed import closed
from llamakit.core.grammar.schema_rules import schema_rules

INNER = {"type": "object", "properties": {"x": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("schema", "text", "ok"),
    [
        (INNER, '{"x": 1}', True),
        (INNER, '{"x": 1, "y": 2}', False),
        ({**INNER, "additionalProperties": True}, '{"x": 1, "y": 2}', True),
        ({"type": "object"}, '{"y": 2}', True),
        ({"type": "array", "items": INNER}, '[{"x": 1}]', True),
        ({"type": "array", "items": INNER}, '[{"y": 1}]', False),
        ({"$defs": {"I": INNER}, "$ref": "#/$defs/I"}, '{"y": 1}', False),
        ({"anyOf": [INNER, {"type": "null"}]}, '{"y": 1}', False),
        ({"anyOf": [INNER, {"type": "null"}]}, "null", True),
        ({"allOf": [INNER, {"properties": {"y": {"type": "integer"}}}]}, '{"x": 1, "y": 2}', True),
        ({**INNER, "anyOf": [{"properties": {"y": {"type": "integer"}}}]}, '{"x": 1, "y": 2}', True),
        ({"enum": [{"properties": {}, "z": 1}]}, '{"properties": {}, "z": 1}', True),
    ],
)
def test_objects_have_what_they_name(schema, text, ok):
    assert Grammar(schema_rules(closed(schema))).matches(text) is ok
