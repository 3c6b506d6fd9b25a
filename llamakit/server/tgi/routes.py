"""text-generation-inference's routes, and those that it shares with llama-server."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from llamakit.server.generation.chat_fields import CHAT_FIELDS
from llamakit.server.generation.field import Field, Schema, Text, object_schema
from llamakit.server.native import tokens as native
from llamakit.server.openapi import described_by
from llamakit.server.respond import json_object
from llamakit.server.tgi.compat import STREAM, compat, invocations, vertex
from llamakit.server.tgi.errors import Handler, in_own_words
from llamakit.server.tgi.generate import generate, generate_stream
from llamakit.server.tgi.info import info, ping
from llamakit.server.tgi.parameters import PARAMETERS
from llamakit.server.tgi.tokens import chat_tokenize, tokenize

INPUTS = Text("inputs", "Text, with which the answer is of text-generation-inference's form.")


def tgi_routes() -> APIRouter:
    router = APIRouter(tags=["text-generation-inference"])

    def post(path: str, handler: Handler, fields: Iterable[Field], required: str, **others: Schema) -> None:
        router.post(path, openapi_extra=described_by(fields, required, **others))(in_own_words(handler))

    text = {"inputs": {"type": "string", "minLength": 1}, "parameters": object_schema(PARAMETERS)}
    post("/generate", generate, (), "inputs", **text)
    post("/generate_stream", generate_stream, (), "inputs", **text)
    root = described_by((STREAM,), "inputs", **text)
    router.add_api_route(
        "/", in_own_words(compat), methods=["POST"], openapi_extra=root, route_class_override=PostAlone
    )
    post("/invocations", invocations, (STREAM,), "inputs", **text)
    post("/vertex", vertex, (), "instances", instances={"type": "array", "items": {"type": "object"}, "minItems": 1})
    post("/chat_tokenize", chat_tokenize, CHAT_FIELDS, "messages")
    router.get("/info")(in_own_words(info))
    router.get("/ping", include_in_schema=False)(ping)
    fields = (*native.TOKENIZE_FIELDS, INPUTS)
    router.post("/tokenize", openapi_extra=described_by(fields))(either_tokenize)
    return router


class PostAlone(APIRoute):
    """Leaves other methods to other routes: without a page, GET / finds nothing."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return (match, child) if match is Match.FULL else (Match.NONE, {})


async def either_tokenize(request: Request) -> Response:
    """text-generation-inference's where the body has `inputs`, else llama-server's."""
    is_tgi = "inputs" in await json_object(request)
    return await (in_own_words(tokenize) if is_tgi else native.tokenize)(request)
