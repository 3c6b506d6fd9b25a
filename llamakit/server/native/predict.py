"""/predict, as Vertex AI asks a server: several requests in one, each naming its route."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.types import Message

from llamakit.errors import LlamakitError
from llamakit.server.errors import openai_shape, problem_of
from llamakit.server.generation.field import Body, FieldError, kind_of
from llamakit.server.native import tokens
from llamakit.server.native.completion import completion
from llamakit.server.native.embeddings import embedding
from llamakit.server.native.infill import infill
from llamakit.server.native.rerank import rerank
from llamakit.server.openai.chat import chat_completions
from llamakit.server.openai.completions import completions
from llamakit.server.openai.embeddings import embeddings
from llamakit.server.openai.responses import responses
from llamakit.server.respond import json_object

FORMAT = "@requestFormat"
FORMATS: Mapping[str, Callable[[Request], Awaitable[Any]]] = {
    "chatCompletions": chat_completions,
    "completions": completions,
    "completion": completion,
    "responses": responses,
    "embeddings": embeddings,
    "embedding": embedding,
    "rerank": rerank,
    "infill": infill,
    "tokenize": tokens.tokenize,
    "detokenize": tokens.detokenize,
    "applyTemplate": tokens.apply_template,
}
MOST = 128


async def predict(request: Request) -> Response:
    instances = (await json_object(request)).get("instances")
    if not isinstance(instances, list):
        raise FieldError(
            "instances", f"request body must include an array field named instances, not {kind_of(instances)}"
        )
    if len(instances) > MOST:
        raise FieldError("instances", f"instances array exceeds maximum size of {MOST}")
    return JSONResponse({"predictions": await asyncio.gather(*(prediction(request, one) for one in instances))})


async def prediction(request: Request, instance: Any) -> Any:
    """The answer to one of them, or what is wrong with it."""
    try:
        if not isinstance(instance, dict):
            raise FieldError("instances", "each instance must be a JSON object")
        handler = FORMATS.get(str(instance.get(FORMAT)))
        if handler is None:
            raise FieldError(FORMAT, f"must be one of {', '.join(FORMATS)}")
        body = {name: value for name, value in instance.items() if name != FORMAT}
        answer = await handler(with_body(request, {**body, "stream": False}))
        return json.loads(bytes(answer.body)) if isinstance(answer, Response) else answer
    except LlamakitError as error:
        return openai_shape(problem_of(error))[1]


def with_body(request: Request, body: Body) -> Request:
    """A request with another body, whose client is the same."""
    data: list[Message] = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

    async def receive() -> Message:
        return data.pop() if data else await request.receive()

    return Request(request.scope, receive)
