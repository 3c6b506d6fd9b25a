"""/info: what is served, and how much of it at once; /ping: whether it can be asked."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from llamakit import __version__
from llamakit.server.health import why_not_ready
from llamakit.server.models.served import served_for
from llamakit.server.tgi.errors import body
from llamakit.server.tgi.limits import limits_of


async def info(request: Request) -> Response:
    limits, served = limits_of(request), await served_for(request, None)
    return JSONResponse(
        {
            "model_id": limits.model_id or served.name,
            "model_sha": None,
            "model_dtype": served.info.file_type,
            "model_device_type": "cpu",
            "model_pipeline_tag": "text-generation",
            "max_concurrent_requests": served.engine.n_streams_max,
            "max_best_of": limits.max_best_of,
            "max_stop_sequences": limits.max_stop_sequences,
            "max_input_tokens": limits.input_tokens(served),
            "max_total_tokens": limits.total_tokens(served),
            "validation_workers": limits.validation_workers,
            "max_client_batch_size": limits.max_client_batch_size,
            "router": "llamakit",
            "version": __version__,
            "sha": None,
            "docker_label": None,
        }
    )


async def ping(request: Request) -> Response:
    if why_not_ready(request.app.state.models) is None:
        return Response()
    return JSONResponse(body("unhealthy", "healthcheck"), 503)
