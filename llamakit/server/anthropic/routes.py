"""Anthropic's routes."""

from __future__ import annotations

from fastapi import APIRouter

from llamakit.server.anthropic.body import MESSAGES_FIELDS
from llamakit.server.anthropic.messages import count_tokens, messages
from llamakit.server.generation.fields import ALL_FIELDS
from llamakit.server.openai.fields import MODEL
from llamakit.server.openapi import described_by

FIELDS = (MODEL, *ALL_FIELDS, *MESSAGES_FIELDS)


def anthropic_routes() -> APIRouter:
    router = APIRouter(tags=["anthropic"])
    extra = described_by(FIELDS, "messages")
    router.post("/v1/messages", openapi_extra=extra)(messages)
    router.post("/v1/messages/count_tokens", openapi_extra=extra)(count_tokens)
    return router
