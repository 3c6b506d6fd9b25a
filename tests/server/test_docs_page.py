"""`/docs`: every route and field of the document, and nothing from elsewhere."""

from __future__ import annotations

import re
from html import unescape

import pytest

pytest.importorskip("fastapi")

from llamakit.server.docs_page import kind_of, page


def test_the_page_names_every_route_and_field(scripted_server):
    document = scripted_server.ask("/openapi.json").json
    assert scripted_server.ask("/api-doc/openapi.json").json == document
    reply = scripted_server.ask("/docs")
    assert reply.status == 200
    text = unescape(re.sub(r"<[^>]+>", " ", reply.body.decode()))
    for path, operations in document["paths"].items():
        assert f" {path} " in text
        for operation in operations.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                assert all(f" {name} " in text for name in content["schema"].get("properties", {}))


def test_nothing_is_loaded_from_elsewhere(scripted_server):
    reply = scripted_server.ask("/docs")
    html = reply.body.decode()
    assert not re.search("<(script|img|link|iframe)|url\\(|src=", html)
    assert reply.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")


def test_what_a_document_says_is_text():
    operation = {"description": "<script>1</script>"}
    html = page({"info": {"title": "<b>", "version": "&"}, "paths": {"/<i>": {"get": operation}}})
    assert "<script>" not in html and "<b>" not in html and "<i>" not in html
    assert "&lt;script&gt;1&lt;/script&gt;" in html


@pytest.mark.parametrize(
    "schema, told",
    [
        ({"type": ["integer", "null"], "minimum": 1.0, "maximum": 2147483647.0}, "integer ≥ 1"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 2}, "number > 0 ≤ 2"),
        ({"enum": ["low", "high"]}, '"low" | "high"'),
        ({"anyOf": [{"type": "string"}, {"type": "null"}, {"type": "array"}]}, "string or array"),
        ({"description": "?"}, "any"),
    ],
)
def test_kinds_are_said_in_short(schema, told):
    assert kind_of(schema) == told
