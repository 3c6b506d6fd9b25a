"""OpenAI's routes, and llama-server's other names for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from fastapi import APIRouter, Request

from llamakit.server.generation.chat_fields import CHAT_FIELDS
from llamakit.server.generation.field import Anything, Field, Whole
from llamakit.server.generation.fields import ALL_FIELDS
from llamakit.server.openai.chat import LOGPROBS, chat_completions, chat_input_tokens
from llamakit.server.openai.completions import COMPLETION_FIELDS, completions
from llamakit.server.openai.embeddings import EMBEDDING_FIELDS, NORM, embeddings
from llamakit.server.openai.fields import MODEL, STREAM_OPTIONS, TOP_LOGPROBS, VERBOSE
from llamakit.server.openai.models import model, models
from llamakit.server.openai.response_body import RESPONSE_FIELDS
from llamakit.server.openai.responses import input_tokens, responses
from llamakit.server.openai.unsupported import unsupported_routes
from llamakit.server.openapi import described_by

PROMPT = Anything(
    "prompt", "A text, token ids, both mixed, or a list of several such prompts.", types=("string", "array", "object")
)
BEST_OF = Whole("best_of", "How many answers to draw, of which the likeliest n are given.", least=1)
N = Whole("n", "How many answers to give.", least=1)
COMMON = (MODEL, N, STREAM_OPTIONS, VERBOSE, *ALL_FIELDS)
COMPLETION = (PROMPT, BEST_OF, *COMPLETION_FIELDS, *COMMON)
CHAT = (*COMMON, *CHAT_FIELDS, LOGPROBS, TOP_LOGPROBS)
RESPONSE = (MODEL, *ALL_FIELDS, *RESPONSE_FIELDS)


def openai_routes() -> APIRouter:
    router = APIRouter(tags=["openai"])

    def post(
        handler: Callable[[Request], Awaitable[Any]], fields: Iterable[Field], required: Iterable[str], *paths: str
    ) -> None:
        for i, path in enumerate(paths):
            extra = described_by(fields, *required)
            router.post(path, openapi_extra=extra, include_in_schema=not i)(handler)

    router.get("/v1/models")(models)
    router.get("/models", include_in_schema=False)(models)
    router.get("/v1/models/{name:path}")(model)
    post(completions, COMPLETION, ["prompt"], "/v1/completions", "/v1/engines/copilot-codex/completions")
    post(chat_completions, CHAT, ["messages"], "/v1/chat/completions", "/chat/completions")
    post(
        chat_input_tokens, CHAT, ["messages"],
        "/v1/chat/completions/input_tokens", "/chat/completions/input_tokens",
    )  # fmt: skip
    post(responses, RESPONSE, ["input"], "/v1/responses", "/responses")
    post(input_tokens, RESPONSE, ["input"], "/v1/responses/input_tokens", "/responses/input_tokens")
    post(embeddings, (*EMBEDDING_FIELDS, NORM), [], "/v1/embeddings")
    router.include_router(unsupported_routes())
    return router
