"""/props: what the server is, and what holds for requests that say nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from llamakit.core.chat.errors import TemplateError
from llamakit.server.errors import Refused
from llamakit.server.generation.fields import read_fields
from llamakit.server.generation.request import defaults_for
from llamakit.server.models.many import ManyModels
from llamakit.server.models.served import Served, served_for
from llamakit.server.native.settings import generation_settings
from llamakit.server.openai.objects import FINGERPRINT
from llamakit.server.settings import ServerSettings


async def get_props(request: Request) -> Response:
    name, models = request.query_params.get("model"), request.app.state.models
    if name is None and isinstance(models, ManyModels):
        return JSONResponse(router_props(models))
    served = await served_for(request, name, wakes=False)
    settings: ServerSettings = request.app.state.settings
    return JSONResponse(await run_in_threadpool(props, served, settings))


def router_props(models: ManyModels) -> dict[str, Any]:
    """Of a server of several models, where none of them is named: no model is loaded for that."""
    return {
        "role": "router",
        "max_instances": models.n_most,
        "models_autoload": models.loads_itself,
        "model_alias": "llama-server",
        "model_path": "none",
        "default_generation_settings": {"params": {}, "n_ctx": 0},
        "ui_settings": {},
        "build_info": FINGERPRINT,
        "cors_proxy_enabled": False,
    }


async def post_props(request: Request) -> Response:
    settings: ServerSettings = request.app.state.settings
    if not settings.has_props:
        raise Refused(403, "This server does not support changing global properties. Start it with `--props`")
    return JSONResponse({"success": True})


def props(served: Served, settings: ServerSettings) -> dict[str, Any]:
    info, template, vocab = served.info, served.template, served.vocab
    defaults = generation_settings(read_fields({}, defaults_for(served), vocab), vocab.eog_ids)
    told = {
        "default_generation_settings": {"params": defaults, "n_ctx": info.n_ctx},
        "total_slots": info.n_slots,
        "model_alias": served.name,
        "model_ftype": info.file_type,
        "model_path": info.path,
        "modalities": {"vision": False, "video": False, "audio": False},
        "media_marker": "<__media__>",
        "endpoint_slots": settings.has_slots,
        "endpoint_props": settings.has_props,
        "endpoint_metrics": settings.has_metrics,
        "ui": settings.has_web_page,
        "ui_settings": {},
        "chat_template": template.source,
        "chat_template_caps": capabilities(served),
        "bos_token": text_of(served, vocab.bos_id),
        "eos_token": text_of(served, vocab.eos_id),
        "build_info": FINGERPRINT,
        "is_sleeping": served.engine.is_asleep,
        "cors_proxy_enabled": False,
    }
    if (with_tools := template.with_tools()) is not template:
        told["chat_template_tool_use"] = with_tools.source
    return told


def capabilities(served: Served) -> dict[str, bool]:
    try:
        found = asdict(served.template.capabilities)
    except TemplateError:
        return {}
    return {f"supports_{name}": value for name, value in found.items()}


def text_of(served: Served, token: int | None) -> str:
    return "" if token is None else served.vocab.piece(token, special=True).decode("utf-8", "replace")
