"""Anthropic's routes."""

from __future__ import annotations

from fastapi import APIRouter

from llamakit.server.anthropic.messages import count_tokens, messages


def anthropic_routes() -> APIRouter:
    router = APIRouter()
    router.post("/v1/messages", tags=["anthropic"])(messages)
    router.post("/v1/messages/count_tokens", tags=["anthropic"])(count_tokens)
    return router
