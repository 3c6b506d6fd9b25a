"""OpenAI's routes, and llama-server's other names for them."""

from __future__ import annotations

from fastapi import APIRouter

from llamakit.server.openai.chat import chat_completions, chat_input_tokens
from llamakit.server.openai.completions import completions
from llamakit.server.openai.embeddings import embeddings
from llamakit.server.openai.models import model, models
from llamakit.server.openai.responses import input_tokens, responses
from llamakit.server.openai.unsupported import unsupported_routes


def openai_routes() -> APIRouter:
    router = APIRouter()
    for path in ("/v1/models", "/models"):
        router.get(path, tags=["openai"])(models)
    router.get("/v1/models/{name:path}", tags=["openai"])(model)
    for path in ("/v1/completions", "/v1/engines/copilot-codex/completions"):
        router.post(path, tags=["openai"])(completions)
    for path in ("/v1/chat/completions", "/chat/completions"):
        router.post(path, tags=["openai"])(chat_completions)
    router.post("/v1/embeddings", tags=["openai"])(embeddings)
    for path in ("/v1/responses", "/responses"):
        router.post(path, tags=["openai"])(responses)
        router.post(f"{path}/input_tokens", tags=["openai"])(input_tokens)
    for path in ("/v1/chat/completions/input_tokens", "/chat/completions/input_tokens"):
        router.post(path, tags=["openai"])(chat_input_tokens)
    router.include_router(unsupported_routes())
    return router
