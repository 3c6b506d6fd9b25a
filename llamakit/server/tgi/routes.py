"""text-generation-inference's routes, and those that it shares with llama-server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Request, Response

from llamakit.server.generation.chat_fields import CHAT_FIELDS
from llamakit.server.generation.field import Field, Text, object_schema
from llamakit.server.native import tokens as native
from llamakit.server.native.routes import document
from llamakit.server.respond import json_object
from llamakit.server.tgi.compat import STREAM, compat, invocations, vertex
from llamakit.server.tgi.errors import Handler, in_own_words
from llamakit.server.tgi.generate import generate, generate_stream
from llamakit.server.tgi.info import info
from llamakit.server.tgi.parameters import PARAMETERS
from llamakit.server.tgi.tokens import chat_tokenize, tokenize

INPUTS = Text("inputs", "The prompt.")


def tgi_routes() -> APIRouter:
    router = APIRouter(tags=["text-generation-inference"])

    def post(path: str, handler: Handler, fields: Iterable[Field], **others: Any) -> None:
        router.post(path, openapi_extra=document(object_schema(fields, **others)))(in_own_words(handler))

    parameters = object_schema(PARAMETERS)
    post("/generate", generate, (INPUTS,), parameters=parameters)
    post("/generate_stream", generate_stream, (INPUTS,), parameters=parameters)
    post("/", compat, (INPUTS, STREAM), parameters=parameters)
    post("/invocations", invocations, (INPUTS, STREAM), parameters=parameters)
    post("/vertex", vertex, (), instances={"type": "array", "items": {"type": "object"}})
    post("/chat_tokenize", chat_tokenize, CHAT_FIELDS)
    router.get("/info")(in_own_words(info))
    fields = (*native.TOKENIZE_FIELDS, INPUTS)
    router.post("/tokenize", openapi_extra=document(object_schema(fields)))(either_tokenize)
    return router


async def either_tokenize(request: Request) -> Response:
    """text-generation-inference's where the body has `inputs`, else llama-server's."""
    is_tgi = "inputs" in await json_object(request)
    return await (in_own_words(tokenize) if is_tgi else native.tokenize)(request)
