"""Objects without properties that their schema does not name."""

from __future__ import annotations

import json

import pytest

from llamakit.core.grammar.grammar import Grammar
from llamakit.core.grammar.schema_closed import closed_rules
from llamakit.core.grammar.schema_document import SchemaError

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
        ({"properties": {"properties": INNER}}, '{"properties": {"x": 1}}', True),
        ({"properties": {"properties": INNER}}, '{"properties": {"y": 1}}', False),
    ],
)
def test_objects_have_what_they_name(schema, text, ok):
    assert Grammar(closed_rules(schema)).matches(text) is ok


def test_a_schema_may_be_text_and_is_refused_where_it_is_too_deep():
    assert not Grammar(closed_rules(json.dumps(INNER))).matches('{"x": 1, "y": 2}')
    deep = {"type": "integer"}
    for _ in range(5000):
        deep = {"type": "array", "items": deep}
    with pytest.raises(SchemaError, match="nested too deeply"):
        closed_rules(deep)
