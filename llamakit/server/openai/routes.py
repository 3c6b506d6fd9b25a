"""OpenAI's completions and chats."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from llamakit.core.chat.prompt import chat_prompt
from llamakit.server.engine.generation import Generation
from llamakit.server.generation.answer import Answer
from llamakit.server.models.served import Served, served_for
from llamakit.server.openai.bodies import ChatBody, CompletionBody, GenerationBody
from llamakit.server.sse import EventStream

CLIENT_IS_GONE = 499  # nginx's word for it; nobody reads it


@dataclass(frozen=True)
class Shape:
    """How an API writes an answer: the names of its objects, and what a choice holds of a text."""

    id_prefix: str
    whole: str
    chunk: str
    choice: Callable[[str], dict[str, Any]]
    part: Callable[[str], dict[str, Any]]
    opening: dict[str, Any] | None  # the first chunk's choice


COMPLETION = Shape(
    "cmpl-", "text_completion", "text_completion", lambda text: {"text": text}, lambda text: {"text": text}, None
)
CHAT = Shape(
    "chatcmpl-",
    "chat.completion",
    "chat.completion.chunk",
    lambda text: {"message": {"role": "assistant", "content": text}},
    lambda text: {"delta": {"content": text} if text else {}},
    {"delta": {"role": "assistant", "content": ""}},
)


def openai_routes() -> APIRouter:
    router = APIRouter()

    @router.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        served = await served_for(request)
        model = {"id": served.name, "object": "model", "created": served.created, "owned_by": "llamakit"}
        return {"object": "list", "data": [model]}

    @router.post("/v1/completions")
    async def completions(request: Request, body: CompletionBody) -> Response:
        served = await served_for(request, body.model)
        return await respond(request, served, body, COMPLETION, lambda: completion_tokens(served, body))

    @router.post("/v1/chat/completions")
    async def chat_completions(request: Request, body: ChatBody) -> Response:
        served = await served_for(request, body.model)
        return await respond(request, served, body, CHAT, lambda: chat_tokens(served, body))

    return router


def completion_tokens(served: Served, body: CompletionBody) -> list[int]:
    if isinstance(body.prompt, str):
        return served.vocab.encode(body.prompt, add_special=True, parse_special=True)
    return body.prompt


def chat_tokens(served: Served, body: ChatBody) -> list[int]:
    return chat_prompt(served.template, body.messages).encode(served.vocab)


async def respond(
    request: Request, served: Served, body: GenerationBody, shape: Shape, tokens: Callable[[], Sequence[int]]
) -> Response:
    """Generate, and answer whole or as a stream."""

    def generation() -> Generation:
        return Generation(tuple(tokens()), body.sampling(), n_predict=body.n_predict, stop=body.stops)

    (stream,) = served.engine.submit(await run_in_threadpool(generation))
    answer = Answer(stream)
    base = {"id": shape.id_prefix + uuid.uuid4().hex, "created": int(time.time()), "model": served.name}
    if body.stream:
        return EventStream(stream, chunks(answer, {**base, "object": shape.chunk}, shape, body.has_usage))
    async with stream:
        text = await unless_gone(request, answer)
    if text is None:
        return Response(status_code=CLIENT_IS_GONE)
    choice = {"index": 0, **shape.choice(text), "logprobs": None, "finish_reason": answer.finish_reason}
    return JSONResponse({**base, "object": shape.whole, "choices": [choice], "usage": answer.usage()})


async def chunks(answer: Answer, base: dict[str, Any], shape: Shape, has_usage: bool) -> AsyncIterator[dict[str, Any]]:
    def chunk(part: dict[str, Any]) -> dict[str, Any]:
        return {**base, "choices": [{"index": 0, **part, "logprobs": None, "finish_reason": answer.finish_reason}]}

    if shape.opening is not None:
        yield chunk(shape.opening)
    async for text in answer.texts():
        yield chunk(shape.part(text))
    yield chunk(shape.part(""))
    if has_usage:
        yield {**base, "choices": [], "usage": answer.usage()}


async def unless_gone(request: Request, answer: Answer) -> str | None:
    """The whole text, or None as soon as the client has gone."""

    async def whole() -> str:
        return "".join([text async for text in answer.texts()])

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    text, going = asyncio.create_task(whole()), asyncio.create_task(gone())
    try:
        await asyncio.wait((text, going), return_when=asyncio.FIRST_COMPLETED)
        return text.result() if text.done() else None
    finally:
        text.cancel()
        going.cancel()
