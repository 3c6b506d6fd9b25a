"""Schemas whose objects have no properties but those they name: what a model is asked for, not all that is valid."""

from __future__ import annotations

from typing import Any

from llamakit.core.grammar.rules import Rules
from llamakit.core.grammar.schema_document import Role, SchemaError, load, role_within
from llamakit.core.grammar.schema_rules import USUAL_STYLE, JsonStyle, schema_rules
from llamakit.core.grammar.schema_typed import typed

COMBINING = {"allOf", "not", "if", "dependentSchemas", "patternProperties", "propertyNames", "$dynamicRef"}
BESIDE_PROPERTIES = {"anyOf", "oneOf", "$ref"}
CLOSING = {"additionalProperties", "unevaluatedProperties"}


def closed_rules(schema: Any, style: JsonStyle = USUAL_STYLE) -> Rules:
    """`schema_rules` of a schema whose parts are `typed` and `closed` first."""
    try:
        return schema_rules(demanded(load(schema) if isinstance(schema, str) else schema), style)
    except RecursionError:
        raise SchemaError("", "nested too deeply") from None


def demanded(schema: Any) -> Any:
    """What a schema in a request means, as in llama.cpp: `typed` and `closed`."""
    return closed(typed(schema))


def closed(schema: Any) -> Any:
    """Where properties are named and nothing is said about others, there are no others: a model would make them up.

    A schema that combines others is left as it is: what one part names, another would forbid.
    """
    return schema if combines(schema) else closed_part(schema)


def combines(part: Any, role: Role = Role.SCHEMA) -> bool:
    if isinstance(part, list):
        return any(combines(inner, role) for inner in part)
    if not isinstance(part, dict) or role is Role.DATA:
        return False
    if role is Role.SCHEMA and (part.keys() & COMBINING or ("properties" in part and part.keys() & BESIDE_PROPERTIES)):
        return True
    return any(combines(inner, role_within(role, key)) for key, inner in part.items())


def closed_part(part: Any, role: Role = Role.SCHEMA) -> Any:
    if isinstance(part, list):
        return [closed_part(inner, role) for inner in part]
    if not isinstance(part, dict) or role is Role.DATA:
        return part
    made = {key: closed_part(inner, role_within(role, key)) for key, inner in part.items()}
    if role is Role.SCHEMA and isinstance(part.get("properties"), dict) and not part.keys() & CLOSING:
        made["additionalProperties"] = False
    return made
