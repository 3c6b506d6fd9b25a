"""OpenAI's routes for what no model here does: they say so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter

from llamakit.server.errors import Refused

ROUTES = {
    "/v1/audio/transcriptions": "audio input is not supported: the models here read text alone",
    "/v1/audio/translations": "audio input is not supported: the models here read text alone",
    "/audio/transcriptions": "audio input is not supported: the models here read text alone",
    "/v1/audio/speech": "speech is not supported: the models here write text alone",
    "/v1/images/generations": "images are not supported: the models here write text alone",
    "/v1/images/edits": "images are not supported: the models here write text alone",
    "/v1/images/variations": "images are not supported: the models here write text alone",
    "/v1/moderations": "moderation is not supported",
}


def unsupported_routes() -> APIRouter:
    router = APIRouter()
    for path, reason in ROUTES.items():
        router.post(path, include_in_schema=False)(refusing(reason))
    return router


def refusing(reason: str) -> Callable[[], Awaitable[None]]:
    async def refuse() -> None:
        raise Refused(501, reason)

    return refuse
