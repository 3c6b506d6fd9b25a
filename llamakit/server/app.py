"""The web application: what all APIs have in common, and their routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Response
from fastapi.staticfiles import StaticFiles

from llamakit import __version__
from llamakit.server.anthropic.routes import anthropic_routes
from llamakit.server.docs_page import docs_routes
from llamakit.server.errors import Refused, add_handlers
from llamakit.server.health import health_routes
from llamakit.server.kept_streams import KeptStreams
from llamakit.server.models.figures import figures_of
from llamakit.server.models.many import ManyModels
from llamakit.server.models.models import Models
from llamakit.server.models.routes import models_routes
from llamakit.server.native.routes import native_routes
from llamakit.server.openai.routes import openai_routes
from llamakit.server.operations.auth import ApiKeys
from llamakit.server.operations.guard import Guard, Operations
from llamakit.server.operations.headers import encoded
from llamakit.server.operations.limits import Limits
from llamakit.server.operations.logs import log_request
from llamakit.server.operations.metrics import Metrics
from llamakit.server.settings import ServerSettings
from llamakit.server.tgi.routes import tgi_routes
from llamakit.server.web.routes import is_page, web_routes

if TYPE_CHECKING:
    from llamakit.server.operations.tracing import Tracing


def create_app(models: Models, settings: ServerSettings | None = None) -> FastAPI:
    """What answers for some models; they are started and closed with it.

    `app.state` holds `models` and `settings`; routes get a model by `models.served.served_for`.
    """
    settings = settings or ServerSettings()
    metrics = Metrics(lambda: figures_of(models), settings.n_ctx_measured)
    tracing = tracing_of(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        models.start()
        yield
        app.state.kept_streams.close()
        await models.close()
        if tracing is not None:
            tracing.close()

    app = FastAPI(title="llamakit", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.models, app.state.settings, app.state.kept_streams = models, settings, KeptStreams()
    observers = [metrics.observe, log_request, *([tracing.observe] if tracing is not None else [])]
    operations = Operations(
        ApiKeys(settings.api_keys),
        settings.origins,
        settings.limits or Limits(),
        settings.api_prefix,
        is_page,
        observers,
    )
    app.add_middleware(Guard, operations=operations)
    add_handlers(app)
    for routes in (
        *([models_routes(models)] if isinstance(models, ManyModels) else []),
        health_routes(),
        docs_routes(),
        metrics_routes(metrics if settings.has_metrics else None),
        openai_routes(),
        anthropic_routes(),
        native_routes(models, settings),
        tgi_routes(),
    ):
        app.include_router(routes, prefix=settings.api_prefix)
    add_pages(app, settings)
    return app


def add_pages(app: FastAPI, settings: ServerSettings) -> None:
    """The web page, or files in place of it."""
    if settings.web_folder is not None:
        files = StaticFiles(directory=settings.web_folder, html=True)
        app.mount(settings.api_prefix or "/", files, name="files")
    elif settings.has_web_page:
        app.include_router(web_routes(), prefix=settings.api_prefix)


def tracing_of(settings: ServerSettings) -> Tracing | None:
    """What sends traces, where there is a collector. Raises UsageError where the package for it is missing."""
    if settings.otlp_endpoint is None:
        return None
    from llamakit.server.operations.tracing import Tracing

    return Tracing(settings.otlp_endpoint, settings.otlp_service_name)


def metrics_routes(metrics: Metrics | None) -> APIRouter:
    router = APIRouter()

    @router.get("/metrics")
    async def get_metrics() -> Response:
        if metrics is None:
            raise Refused(501, "This server does not support metrics endpoint. Start it with `--metrics`")
        response = Response(metrics.text(), media_type="text/plain; version=0.0.4")
        response.raw_headers += encoded({"Process-Start-Time-Unix": str(int(metrics.started))})
        return response

    return router
