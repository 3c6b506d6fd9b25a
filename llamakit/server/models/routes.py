"""What a server of several models can be told: the list of all, loading and unloading, as llama-server's router."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from llamakit.errors import UsageError
from llamakit.server.models.many import Entry, ManyModels
from llamakit.server.openai.models import OWNER, model_object
from llamakit.server.respond import anext_of
from llamakit.server.sse import PING, EventStream, Style
from llamakit.server.strict_json import parse_json

NOT_LOADED = 1  # exit code of an engine that cannot load its model


def models_routes(models: ManyModels) -> APIRouter:
    router = APIRouter()

    @router.get("/models")
    @router.get("/v1/models", include_in_schema=False)
    async def list_models(reload: bool = False) -> dict[str, Any]:
        if reload:
            await models.reload()
        return {"object": "list", "data": [told(entry) for entry in models.entries.values()]}

    @router.get("/v1/models/{name}", include_in_schema=False)
    async def get_model(name: str) -> dict[str, Any]:
        return told(models.find(name))

    @router.post("/models/load")
    async def load_model(request: Request) -> dict[str, bool]:
        await models.load(models.find(await name_in(request)))
        return {"success": True}

    @router.post("/models/unload")
    async def unload_model(request: Request) -> dict[str, bool]:
        entry = models.find(await name_in(request))
        if entry.served is None:
            raise UsageError(f"model {entry.name!r} is not loaded")
        await models.unload(entry)
        return {"success": True}

    @router.get("/models/sse", include_in_schema=False)
    async def listen() -> Response:
        events = models.events.listen()
        first = asyncio.ensure_future(anext_of(events))
        return EventStream(events, first, Style(has_done=False), PING, {})

    return router


def told(entry: Entry) -> dict[str, Any]:
    if entry.served is None:
        known: dict[str, Any] = {
            "id": entry.name,
            "aliases": list(entry.settings.aliases or (entry.name,)),
            "tags": list(entry.settings.tags),
            "object": "model",
            "created": 0,
            "owned_by": OWNER,
            "meta": None,
        }
    else:
        known = model_object(entry.served)
    status: dict[str, Any] = {"value": entry.status, "args": arguments(entry)}
    if entry.error is not None:
        status |= {"failed": True, "exit_code": NOT_LOADED, "error": entry.error}
    architecture = {"input_modalities": ["text"], "output_modalities": ["text"]}
    return {**known, "path": entry.settings.path, "status": status, "architecture": architecture}


def arguments(entry: Entry) -> list[str]:
    """The options of a server of this model alone: its file and its names."""
    names = ["--alias", ",".join(entry.settings.aliases)] if entry.settings.aliases else []
    tags = ["--tags", ",".join(entry.settings.tags)] if entry.settings.tags else []
    return ["llamakit", "server", "--model", entry.settings.path, *names, *tags]


async def name_in(request: Request) -> str:
    """Raises UsageError where the body names no model."""
    body = parse_json(await request.body())
    name = body.get("model") if isinstance(body, dict) else None
    if not isinstance(name, str) or not name:
        raise UsageError('model: the body must name one, {"model": "..."}')
    return name
