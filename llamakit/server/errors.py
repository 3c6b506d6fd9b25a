"""What went wrong, in the shape of the API that was asked; of mistakes that are ours, only that there was one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from llamakit.core.chat.errors import MessageError, TemplateError
from llamakit.core.chat.output.tools import ToolError
from llamakit.core.engine.scheduler import QueueFull, SchedulerClosed
from llamakit.core.grammar.errors import GrammarError
from llamakit.errors import LlamakitError, UsageError, VocabError
from llamakit.server.engine.errors import EngineLoading, EngineLost, PromptTooLong
from llamakit.server.generation.field import FieldError
from llamakit.server.models.models import UnknownModel

log = logging.getLogger(__name__)

COME_AGAIN = {"Retry-After": "1"}
# llama-server's types
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    429: "unavailable_error",
    500: "server_error",
    501: "not_supported_error",
    503: "unavailable_error",
}
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
}
TGI_TYPES = {422: "validation", 424: "generation", 429: "overloaded", 500: "incomplete_generation", 503: "unhealthy"}
TGI_ROUTES = ("/generate", "/generate_stream", "/invocations", "/vertex", "/info", "/chat_tokenize")
STATUS_OF = (
    ((UnknownModel,), 404),
    ((UsageError, GrammarError, MessageError, TemplateError, ToolError, VocabError), 400),
    ((QueueFull,), 429),
    ((SchedulerClosed, EngineLoading, EngineLost), 503),
)


CLIENT_IS_GONE = 499  # nginx's word for it; nobody reads it


class ClientGone(Exception):
    """The client has closed the connection; nobody is there to be told anything."""


class Refused(LlamakitError):
    """What this server does not do, or not now; `param` names the field that asks for it, `kind` is llama-server's type
    where it does not follow from the status."""

    def __init__(self, status: int, message: str, param: str | None = None, *, kind: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param, self.kind = status, param, kind


@dataclass(frozen=True)
class Problem:
    """An error on its way out. `kind` is llama-server's type; `details` are members that some errors have besides."""

    status: int
    message: str
    kind: str
    param: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def problem(status: int, message: str, param: str | None = None) -> Problem:
    return Problem(status, message, TYPES.get(status, TYPES[400] if status < 500 else TYPES[500]), param)


def problem_of(error: Exception) -> Problem:
    """What a client may know of an error."""
    if isinstance(error, PromptTooLong):
        details = {"n_prompt_tokens": error.n_prompt, "n_ctx": error.n_ctx}
        return Problem(400, str(error), "exceed_context_size_error", details=details)
    if isinstance(error, Refused):
        it = problem(error.status, str(error), error.param)
        return it if error.kind is None else replace(it, kind=error.kind)
    if not isinstance(error, LlamakitError):
        return problem(500, "an internal error; the server's log tells more")
    status = next((status for kinds, status in STATUS_OF if isinstance(error, kinds)), 500)
    param = error.param if isinstance(error, FieldError) else error.where if isinstance(error, MessageError) else None
    return problem(status, str(error), param)


Shape = Callable[[Problem], tuple[int, dict[str, Any]]]  # to a status and a body


def openai_shape(it: Problem) -> tuple[int, dict[str, Any]]:
    """OpenAI's, llama-server's and llama-cpp-python's, which have the same members."""
    error = {"code": it.status, "message": it.message, "type": it.kind, "param": it.param, **it.details}
    return it.status, {"error": error}


def anthropic_shape(it: Problem) -> tuple[int, dict[str, Any]]:
    status = 400 if it.status == 501 else it.status
    kind = ANTHROPIC_TYPES.get(status, ANTHROPIC_TYPES[400] if status < 500 else ANTHROPIC_TYPES[500])
    return status, {"type": "error", "error": {"type": kind, "message": it.message}}


def tgi_shape(it: Problem) -> tuple[int, dict[str, Any]]:
    status = {400: 422, 413: 413, 501: 422}.get(it.status, it.status)
    prefix = "Input validation error: " if status == 422 else ""
    kind = TGI_TYPES.get(status, TGI_TYPES[422] if status < 500 else TGI_TYPES[500])
    return status, {"error": prefix + it.message, "error_type": kind}


def body_of(status: int, message: str, param: str | None = None) -> dict[str, Any]:
    """An error's body in the first of these shapes."""
    return openai_shape(problem(status, message, param))[1]


def shape_of(path: str) -> Shape:
    """How the API of a path writes errors; there may be a prefix in front of it."""
    if "/v1/messages" in path:
        return anthropic_shape
    return tgi_shape if path.endswith(TGI_ROUTES) else openai_shape


def reply(path: str, it: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    status, body = shape_of(path)(it)
    come_again = COME_AGAIN if status in (429, 503) else {}
    return JSONResponse(body, status, {**come_again, **(headers or {})})


def refusal(path: str, status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer to a request that goes no further."""
    return reply(path, problem(status, message), headers)


def add_handlers(app: FastAPI) -> None:
    """Let an app answer errors so."""

    @app.exception_handler(LlamakitError)
    async def of_ours(request: Request, error: LlamakitError) -> JSONResponse:
        it = problem_of(error)
        if it.status == 500:
            log.error("%s: %s", request.url.path, error)
        return reply(request.url.path, it)

    @app.exception_handler(ClientGone)
    @app.exception_handler(ClientDisconnect)
    async def of_the_client(_: Request, __: Exception) -> Response:
        return Response(status_code=CLIENT_IS_GONE)

    @app.exception_handler(RequestValidationError)
    async def of_the_body(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"][1:]) or "body"
        return reply(request.url.path, problem(400, f"{param}: {first['msg']}", param))

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> JSONResponse:
        message = "File Not Found" if error.status_code == 404 and error.detail == "Not Found" else str(error.detail)
        return reply(request.url.path, problem(error.status_code, message), error.headers)

    @app.exception_handler(Exception)
    async def of_a_mistake(request: Request, error: Exception) -> JSONResponse:
        return reply(request.url.path, problem_of(error))
