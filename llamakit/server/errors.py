"""Errors as OpenAI's API says them, with llama.cpp's types."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from llamakit.core.engine.scheduler import QueueFull, SchedulerClosed
from llamakit.errors import LlamakitError

TYPES = {404: "not_found_error", 429: "unavailable_error", 503: "unavailable_error", 500: "server_error"}


def status_of(error: Exception) -> int:
    if isinstance(error, QueueFull):
        return 429
    if isinstance(error, SchedulerClosed):
        return 503
    return 400 if isinstance(error, LlamakitError) else 500


def body_of(status: int, message: str, param: str | None = None) -> dict[str, Any]:
    kind = TYPES.get(status, "invalid_request_error")
    return {"error": {"code": status, "message": message, "type": kind, "param": param}}


def body_of_error(error: Exception) -> dict[str, Any]:
    """What a client may know: of mistakes that are ours, no more than that there was one."""
    message = str(error) if isinstance(error, LlamakitError) else "an internal error; the server's log tells more"
    return body_of(status_of(error), message)


def add_handlers(app: FastAPI) -> None:
    """Let an app answer errors so."""

    @app.exception_handler(LlamakitError)
    async def of_ours(_: Request, error: LlamakitError) -> JSONResponse:
        status = status_of(error)
        return JSONResponse(body_of_error(error), status, {"Retry-After": "1"} if status in (429, 503) else None)

    @app.exception_handler(RequestValidationError)
    async def of_the_body(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"][1:]) or "body"
        return JSONResponse(body_of(400, f"{param}: {first['msg']}", param), 400)

    @app.exception_handler(HTTPException)
    async def of_http(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse(body_of(error.status_code, str(error.detail)), error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def of_a_mistake(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse(body_of_error(error), 500)
