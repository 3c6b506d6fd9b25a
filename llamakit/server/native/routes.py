"""llama-server's own routes, the extras of llama-cpp-python's server, and how the documentation describes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from fastapi import APIRouter, Request, Response

from llamakit.server.generation.chat_fields import CHAT_FIELDS
from llamakit.server.generation.field import Anything, Field, object_schema
from llamakit.server.generation.fields import ALL_FIELDS
from llamakit.server.native import extras
from llamakit.server.native.completion import completion
from llamakit.server.native.embeddings import embedding
from llamakit.server.native.infill import INFILL_FIELDS, infill
from llamakit.server.native.lora import get_adapters, set_adapters
from llamakit.server.native.props import get_props, post_props
from llamakit.server.native.rerank import RERANK_FIELDS, rerank
from llamakit.server.native.slots import FILENAME, get_slots, post_slots
from llamakit.server.native.tokens import TOKENS, apply_template, detokenize
from llamakit.server.openai.embeddings import EMBEDDING_FIELDS, NORM
from llamakit.server.openai.fields import MODEL

PROMPT = Anything(
    "prompt",
    "A text, token ids, both mixed, or a list of several such prompts.",
    types=("string", "array", "object"),
)
COMPLETION_FIELDS = (PROMPT, MODEL, *ALL_FIELDS)
Handler = Callable[[Request], Awaitable[Response]]


def native_routes() -> APIRouter:
    router = APIRouter(tags=["llama-server"])

    def post(handler: Handler, fields: Iterable[Field], *paths: str) -> None:
        for i, path in enumerate(paths):
            router.post(path, openapi_extra=body(fields), include_in_schema=not i)(handler)

    post(completion, COMPLETION_FIELDS, "/completion", "/completions")
    post(infill, (*INFILL_FIELDS, MODEL, *ALL_FIELDS), "/infill")
    post(detokenize, (TOKENS, MODEL), "/detokenize")
    post(apply_template, (*CHAT_FIELDS, MODEL), "/apply-template")
    post(embedding, (*EMBEDDING_FIELDS, NORM), "/embedding", "/embeddings")
    post(rerank, (*RERANK_FIELDS, MODEL), "/rerank", "/reranking", "/v1/rerank", "/v1/reranking")
    post(post_slots, (FILENAME, MODEL), "/slots/{slot}")
    post(extras.tokenize, (extras.INPUT, MODEL), "/extras/tokenize")
    post(extras.count, (extras.INPUT, MODEL), "/extras/tokenize/count")
    post(extras.detokenize, (TOKENS, MODEL), "/extras/detokenize")
    router.get("/props")(get_props)
    router.post("/props")(post_props)
    router.get("/slots")(get_slots)
    router.get("/lora-adapters")(get_adapters)
    router.post("/lora-adapters", openapi_extra=document(ADAPTERS))(set_adapters)
    return router


ADAPTERS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"id": {"type": "integer", "minimum": 0}, "scale": {"type": "number"}},
        "required": ["id"],
    },
}


def body(fields: Iterable[Field]) -> dict[str, Any]:
    return document(object_schema(fields))


def document(schema: dict[str, Any]) -> dict[str, Any]:
    """What an OpenAPI document says of a route whose body is read by hand."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
