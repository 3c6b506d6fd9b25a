"""Schemas whose parts say of which type they are: JSON Schema's keywords for objects let pass all that is no object."""

from __future__ import annotations

from typing import Any

from llamakit.core.grammar.schema_document import Role, role_within

# of the types that llama.cpp takes a part to be of, in its order, by the keywords that are there
TYPES_OF_KEYWORDS = {
    "object": {"properties", "required", "patternProperties"},
    "array": {"items", "prefixItems"},
    "string": {"pattern", "minLength", "maxLength"},
}
FORMATS = {"date", "time", "date-time", "uuid"}
SAYING_TYPES = {"type", "enum", "const", "$ref", "$dynamicRef", "anyOf", "oneOf"}
ASKING = {"not", "if"}  # what is in them is asked, not demanded


def typed(schema: Any, role: Role = Role.SCHEMA) -> Any:
    """A part without a type that speaks of properties is an object; so with arrays and strings."""
    if isinstance(schema, list):
        return [typed(inner, role) for inner in schema]
    if not isinstance(schema, dict) or role is Role.DATA:
        return schema
    is_part = role is Role.SCHEMA
    made = {
        key: inner if is_part and key in ASKING else typed(inner, role_within(role, key))
        for key, inner in schema.items()
    }
    if is_part and (kind := kind_of_part(schema)) is not None:
        made["type"] = kind
    return made


def kind_of_part(part: dict[str, Any]) -> str | None:
    """None where a part says it itself, or says nothing of it."""
    if part.keys() & SAYING_TYPES:
        return None
    if part.get("additionalProperties", True) is not True:
        return "object"
    for kind, keywords in TYPES_OF_KEYWORDS.items():
        if part.keys() & keywords:
            return kind
    return "string" if part.get("format") in FORMATS else None
