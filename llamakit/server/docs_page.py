"""`/docs`: the OpenAPI document as a page, which loads nothing from anywhere."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from typing import Any, TypeAlias

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse

Schema: TypeAlias = dict[str, Any]

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
summary { cursor: pointer; padding: .3rem 0; }
code { font-family: ui-monospace, monospace; }
table { border-collapse: collapse; margin: .5rem 0 1rem 1rem; }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; }
.method { display: inline-block; width: 4rem; font-weight: bold; }
"""
POLICY = f"default-src 'none'; style-src 'sha256-{b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
NO_LIMITS = {2147483647, 4294967295, 9223372036854775807}  # what the numbers of C hold


def docs_routes() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.api_route("/docs", methods=["GET", "HEAD"])
    async def docs(request: Request) -> HTMLResponse:
        headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
        return HTMLResponse(page(request.app.openapi()), headers=headers)

    @router.get("/api-doc/openapi.json")
    async def document(request: Request) -> JSONResponse:
        """Where text-generation-inference has it."""
        return JSONResponse(request.app.openapi())

    return router


def page(document: Schema) -> str:
    """HTML of an OpenAPI document: a heading for each tag, a line for each route, which opens to its fields."""
    title = f"{document['info']['title']} {document['info']['version']}"
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{STYLE}</style></head><body><main><h1>{escape(title)}</h1>",
        '<p><a href="openapi.json">openapi.json</a></p>',
    ]
    for tag, routes in by_tag(document).items():
        parts.append(f"<h2>{escape(tag)}</h2>")
        parts += [route_html(method, path, operation, document) for method, path, operation in routes]
    return "".join([*parts, "</main></body></html>"])


def by_tag(document: Schema) -> dict[str, list[tuple[str, str, Schema]]]:
    """(method, path, operation) under each first tag, in the document's order."""
    tags: dict[str, list[tuple[str, str, Schema]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tags.setdefault(operation.get("tags", ["server"])[0], []).append((method.upper(), path, operation))
    return tags


def route_html(method: str, path: str, operation: Schema, document: Schema) -> str:
    name = f'<span class="method">{method}</span><code>{escape(path)}</code>'
    told = escape(operation.get("description", ""))
    rows = "".join(row_html(*row) for row in fields_of(operation, document))
    table = f"<table><tr><th>field</th><th>type</th><th></th></tr>{rows}</table>" if rows else ""
    return f"<details><summary>{name} {told}</summary>{table}</details>" if table else f"<p>{name} {told}</p>"


def row_html(name: str, is_required: bool, schema: Schema) -> str:
    code = f"<code>{escape(name)}</code>"
    code = f"<strong>{code}</strong>" if is_required else code
    return f"<tr><td>{code}</td><td>{escape(kind_of(schema))}</td><td>{escape(schema.get('description', ''))}</td></tr>"


def fields_of(operation: Schema, document: Schema) -> Iterator[tuple[str, bool, Schema]]:
    """(name, whether it must be there, schema) of what stands in the path and query, then of the body."""
    for parameter in operation.get("parameters", ()):
        yield parameter["name"], parameter.get("required", False), parameter["schema"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield from properties_of(content.get("schema", {}), document)
        return


def properties_of(
    schema: Schema, document: Schema, prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, bool, Schema]]:
    """The fields of an object and of the objects in it; those of an array's items under `name[].`."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if "items" in schema and not prefix:
        schema, prefix = schema["items"], "[]."
    required = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        yield prefix + name, name in required, inner
        if depth < 2 and "properties" in inner:
            yield from properties_of(inner, document, f"{prefix}{name}.", depth + 1)


def kind_of(schema: Schema) -> str:
    """`integer ≥ 1`, `"low" | "high"`, `string or array`: what a value may be, in short."""
    if "enum" in schema:
        return " | ".join(repr(value).replace("'", '"') for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind for choice in schema["anyOf"] if (kind := kind_of(choice))))
    types = schema.get("type", "any")
    names = [name for name in ([types] if isinstance(types, str) else types) if name != "null"]
    limits = [
        f"{sign} {schema[key]:g}" for key, sign in LIMITS.items() if key in schema and schema[key] not in NO_LIMITS
    ]
    return " ".join([" or ".join(names), *limits])
