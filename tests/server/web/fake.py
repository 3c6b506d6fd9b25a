"""A server whose answers a test writes, behind the real page."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from llamakit.server.web.routes import web_routes

Chunk = dict[str, object]
BREAK: Chunk = {}  # the connection ends here


@dataclass
class Fake:
    """`replies` are used up one by one; a gate among the chunks of one is waited for, bytes are sent as they are. None
    left: an echo."""

    url: str = ""
    models: list[str] = field(default_factory=lambda: ["tiny"])
    n_ctx: int = 4096
    key: str | None = None
    is_loading: bool = False
    replies: list[list[Chunk | threading.Event | bytes] | JSONResponse] = field(default_factory=list)
    requests: list[dict] = field(default_factory=list)
    n_cancelled: int = 0

    def answers(self, *replies: list[Chunk | threading.Event | bytes] | JSONResponse) -> None:
        self.replies.extend(replies)


def delta(**parts: object) -> Chunk:
    return {"model": "tiny", "choices": [{"index": 0, "delta": parts, "finish_reason": None}]}


def words(text: str) -> list[Chunk]:
    """A text, a few characters a chunk, cut without regard to what they mean."""
    return [delta(content=text[i : i + 7]) for i in range(0, len(text), 7)]


def end(reason: str = "stop", n_prompt: int = 21, n_drawn: int = 8, **parts: object) -> list[Chunk]:
    usage = {
        "prompt_tokens": n_prompt,
        "completion_tokens": n_drawn,
        "prompt_tokens_details": {"cached_tokens": 16},
    }
    return [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], **parts},
        {"choices": [], "usage": usage},
    ]


def said(text: str) -> list[Chunk]:
    return words(text) + end()


def fake_app(fake: Fake) -> FastAPI:
    app = FastAPI()
    app.include_router(web_routes())

    @app.middleware("http")
    async def check_key(request: Request, call_next):
        needs_key = fake.key is not None and request.url.path.startswith(("/v1", "/props"))
        if needs_key and request.headers.get("authorization") != f"Bearer {fake.key}":
            error = {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}
            return JSONResponse({"error": error}, 401)
        if fake.is_loading and request.url.path.startswith("/v1"):
            return JSONResponse({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, 503)
        return await call_next(request)

    @app.get("/v1/models")
    async def models() -> dict:
        meta = {"n_params": 134515008, "size": 95814656, "n_ctx_train": 8192}
        return {"object": "list", "data": [{"id": name, "object": "model", "meta": meta} for name in fake.models]}

    @app.get("/props")
    async def props(model: str) -> dict:  # without a name, a router tells of no model
        params = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "cache_prompt": True}
        return {
            "default_generation_settings": {"params": params, "n_ctx": fake.n_ctx},
            "total_slots": 4,
            "model_path": f"models/{model}.gguf",
            "build_info": "llamakit",
        }

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await request.json()
        fake.requests.append(body)
        reply = fake.replies.pop(0) if fake.replies else said(f"You said: {body['messages'][-1]['content']}")
        if isinstance(reply, JSONResponse):
            return reply
        return StreamingResponse(events(fake, reply), media_type="text/event-stream")

    return app


async def events(fake: Fake, reply: list[Chunk | threading.Event | bytes]) -> AsyncIterator[str | bytes]:
    try:
        for part in reply:
            if part is BREAK:
                return
            if isinstance(part, threading.Event):
                while not part.is_set():
                    await asyncio.sleep(0.01)
            elif isinstance(part, bytes):
                yield part
                await asyncio.sleep(0.001)  # so that each is sent by itself
            else:
                yield f"data: {json.dumps(part)}\n\n"
                await asyncio.sleep(0)
        yield "data: [DONE]\n\n"
    except asyncio.CancelledError:
        fake.n_cancelled += 1
        raise
