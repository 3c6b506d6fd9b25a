"""The web application: what all APIs have in common, and their routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from llamakit import __version__
from llamakit.server.anthropic.routes import anthropic_routes
from llamakit.server.errors import add_handlers
from llamakit.server.health import health_routes
from llamakit.server.models.models import Models
from llamakit.server.native.routes import native_routes
from llamakit.server.openai.routes import openai_routes
from llamakit.server.settings import ServerSettings
from llamakit.server.tgi.routes import tgi_routes


def create_app(models: Models, settings: ServerSettings | None = None) -> FastAPI:
    """What answers for some models; they are started and closed with it.

    `app.state` holds `models` and `settings`; routes get a model by `models.served.served_for`.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        models.start()
        yield
        await models.close()

    app = FastAPI(title="llamakit", version=__version__, lifespan=lifespan)
    app.state.models, app.state.settings = models, settings or ServerSettings()
    add_handlers(app)
    app.include_router(health_routes())
    app.include_router(openai_routes())
    app.include_router(anthropic_routes())
    app.include_router(native_routes())
    app.include_router(tgi_routes())
    return app
