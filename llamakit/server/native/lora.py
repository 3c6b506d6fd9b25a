"""/lora-adapters: the server's LoRA adapters and their scales."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from llamakit.server.errors import Refused
from llamakit.server.generation.fields import read_adapters
from llamakit.server.models.served import served_for
from llamakit.server.strict_json import parse_json


async def get_adapters(request: Request) -> Response:
    served = await served_for(request, request.query_params.get("model"))
    adapters = await served.engine.adapters()
    return JSONResponse([told(i, path, scale) for i, (path, scale) in enumerate(adapters)])


def told(i: int, path: str, scale: float) -> dict[str, Any]:
    return {"id": i, "path": path, "scale": scale, "task_name": "", "prompt_prefix": ""}


async def set_adapters(request: Request) -> Response:
    """Those that the list does not name get the scale 0."""
    entries = parse_json(await request.body())
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Refused(400, "Request body must be an array of objects with id and scale")
    served = await served_for(request, request.query_params.get("model"))
    scales = read_adapters(entries, len(served.info.adapters), "adapters")
    await served.engine.set_adapters(tuple(scales.items()))
    return JSONResponse({"success": True})
