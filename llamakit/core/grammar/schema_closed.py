"""Schemas whose objects have no properties but those they name: what a model is asked for, not all that is valid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llamakit.core.grammar.rules import Rules
from llamakit.core.grammar.schema_document import SchemaError, load
from llamakit.core.grammar.schema_rules import USUAL_STYLE, JsonStyle, schema_rules

COMBINING = {"allOf", "not", "if", "dependentSchemas", "patternProperties", "propertyNames", "$dynamicRef"}
BESIDE_PROPERTIES = {"anyOf", "oneOf", "$ref"}
CLOSING = {"additionalProperties", "unevaluatedProperties"}
VALUES = {"const", "enum", "default", "examples", "required"}  # no schemas in these


def closed_rules(schema: Any, style: JsonStyle = USUAL_STYLE) -> Rules:
    """`schema_rules` of a schema that is `closed` first."""
    try:
        return schema_rules(closed(load(schema) if isinstance(schema, str) else schema), style)
    except RecursionError:
        raise SchemaError("", "nested too deeply") from None


def closed(schema: Any) -> Any:
    """Where properties are named and nothing is said about others, there are no others: a model would make them up.

    A schema that combines others is left as it is: what one part names, another would forbid.
    """
    return schema if combines(schema) else closed_part(schema)


def combines(part: Any) -> bool:
    if isinstance(part, list):
        return any(map(combines, part))
    if not isinstance(part, Mapping):
        return False
    here = bool(part.keys() & COMBINING) or ("properties" in part and bool(part.keys() & BESIDE_PROPERTIES))
    return here or any(combines(inner) for key, inner in part.items() if key not in VALUES)


def closed_part(part: Any) -> Any:
    if isinstance(part, list):
        return [*map(closed_part, part)]
    if not isinstance(part, Mapping):
        return part
    made = {key: inner if key in VALUES else closed_part(inner) for key, inner in part.items()}
    if isinstance(part.get("properties"), Mapping) and not part.keys() & CLOSING:
        made["additionalProperties"] = False
    return made
