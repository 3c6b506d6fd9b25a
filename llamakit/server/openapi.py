"""What the OpenAPI document says of routes that read their bodies themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llamakit.server.generation.field import Field, object_schema


def described_by(fields: Iterable[Field], *required: str) -> dict[str, Any]:
    """The `openapi_extra` of a route whose body is an object with these fields."""
    schema = object_schema(fields)
    return document({**schema, "required": [*required]} if required else schema)


def document(schema: dict[str, Any]) -> dict[str, Any]:
    """The same for any body."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
