"""The web application: routes over one served model."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from llamakit import __version__
from llamakit.server.errors import add_handlers, body_of
from llamakit.server.openai.routes import openai_routes
from llamakit.server.served import Served


def create_app(served: Served) -> FastAPI:
    """What answers for a model; the scheduler stays the caller's to close."""
    app = FastAPI(title="llamakit", version=__version__)
    add_handlers(app)

    @app.get("/health")
    async def health() -> JSONResponse:
        if served.scheduler.is_alive:
            return JSONResponse({"status": "ok"})
        return JSONResponse(body_of(503, "the engine has stopped"), 503)

    app.include_router(openai_routes(served))
    return app
