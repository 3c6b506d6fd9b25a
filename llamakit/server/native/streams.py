"""/v1/stream: streams that are read on, or ended, by their conversations."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from llamakit.server.errors import Refused
from llamakit.server.generation.field import FieldError, Texts
from llamakit.server.kept_streams import KeptStreams
from llamakit.server.respond import json_object

CONVERSATIONS = Texts("conversation_ids", "Conversations whose streams are looked for.")
LARGEST = 10**15  # an offset


async def get_stream(request: Request) -> Response:
    """What a stream has said from a byte on, and what it says until it ends."""
    kept = kept_streams(request).find(tenant_of(request), conversation_of(request))
    if kept is None:
        raise Refused(404, "Stream not found or expired", "conv_id")
    text = request.query_params.get("from") or "0"
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(LARGEST)):
        raise Refused(400, "Invalid 'from' offset", "from")
    if (offset := int(text)) < kept.n_dropped:
        raise Refused(400, "Stream offset lost, please restart", "from")
    return StreamingResponse(kept.read(offset), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


async def delete_stream(request: Request) -> Response:
    kept_streams(request).drop(tenant_of(request), conversation_of(request))
    return Response(status_code=204)


async def lookup_streams(request: Request) -> Response:
    """Those of the conversations that the body names: nobody is told of others."""
    names = CONVERSATIONS.read(await json_object(request)) or ()
    found = [
        kept for name in dict.fromkeys(names) if name for kept in kept_streams(request).of(tenant_of(request), name)
    ]
    told: list[dict[str, Any]] = [
        {
            "conversation_id": kept.conversation,
            "is_done": bool(kept.completed),
            "total_bytes": kept.n_bytes,
            "started_at": int(kept.started),
            "completed_at": int(kept.completed),
        }
        for kept in found
    ]
    return JSONResponse(told)


def kept_streams(request: Request) -> KeptStreams:
    kept: KeptStreams = request.app.state.kept_streams
    return kept


def tenant_of(request: Request) -> str:
    return getattr(request.state, "tenant", "")


def conversation_of(request: Request) -> str:
    if not (name := request.query_params.get("conv_id")):
        raise FieldError("conv_id", "Missing conversation id in path")
    return name
