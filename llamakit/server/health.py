"""Whether requests can be served (/health, /ready), and whether the server is alive at all (/live)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from llamakit.server.engine.engine import EngineState
from llamakit.server.errors import body_of
from llamakit.server.models.many import ManyModels
from llamakit.server.models.models import Models

OLD = 10.0  # seconds without a sign of an engine that has work: it gives one every second


def health_routes() -> APIRouter:
    router = APIRouter()

    @router.get("/health")
    @router.get("/v1/health", include_in_schema=False)
    @router.get("/ready", include_in_schema=False)
    async def health(request: Request) -> JSONResponse:
        reason = why_not_ready(request.app.state.models)
        return JSONResponse({"status": "ok"}) if reason is None else JSONResponse(body_of(503, reason), 503)

    @router.get("/live", include_in_schema=False)
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    return router


def why_not_ready(models: Models) -> str | None:
    """What keeps requests from being served; None where nothing does."""
    if isinstance(models, ManyModels):  # one that loads, or fails, does not keep others from being served
        return None if models.is_open else "the server ends"
    for served in models.served:
        engine = served.engine
        if engine.state is EngineState.LOADING and not engine.was_ready:
            return "Loading model"
        if engine.state is EngineState.CLOSED:
            return "the server ends"
        if engine.state is not EngineState.READY:
            return engine.why
        if engine.heartbeat_age > OLD:
            return f"the engine has not been heard of for {engine.heartbeat_age:.0f} s"
    return None
