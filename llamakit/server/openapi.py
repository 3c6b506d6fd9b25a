"""What the OpenAPI document says of routes that read their bodies themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llamakit.server.generation.field import Field, Schema, object_schema


def described_by(fields: Iterable[Field], *required: str, **others: Schema) -> dict[str, Any]:
    """The `openapi_extra` of a route whose body is an object with these fields, and `others` by their schemas."""
    return document(object_schema(fields, required=required, **others))


def document(schema: dict[str, Any]) -> dict[str, Any]:
    """The same for any body."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
