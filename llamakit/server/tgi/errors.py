"""What went wrong, as text-generation-inference says it: {error, error_type}."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from llamakit.core.chat.errors import MessageError, TemplateError
from llamakit.core.chat.output.tools import ToolError
from llamakit.core.engine.scheduler import QueueFull, SchedulerClosed
from llamakit.core.grammar.errors import GrammarError
from llamakit.errors import LlamakitError, UsageError, VocabError
from llamakit.server.engine.errors import EngineLoading, PromptTooLong
from llamakit.server.errors import COME_AGAIN, Problem, Refused
from llamakit.server.generation.field import FieldError
from llamakit.server.sse import Event, Style

log = logging.getLogger(__name__)

OVERLOADED = "Model is overloaded"
Handler = Callable[[Request], Awaitable[Response]]
Told = tuple[int, str, str]  # status, error_type, error


class Invalid(UsageError):
    """A request that makes no sense, with text-generation-inference's own words for it."""


def told(error: Exception) -> Told:
    if isinstance(error, FieldError):
        return 422, "validation", f"Input validation error: {error}"
    if isinstance(error, TemplateError | MessageError):
        return 422, "template_error", f"Template error: {error}"
    if isinstance(error, ToolError):
        return 422, "tool_error", f"Tool error: {error}"
    if isinstance(error, QueueFull):
        return 429, "overloaded", OVERLOADED
    if isinstance(error, EngineLoading | SchedulerClosed):
        return 503, "healthcheck", "unhealthy"
    if isinstance(error, Refused):
        return error.status, "validation", str(error)
    if isinstance(error, UsageError | GrammarError | VocabError | PromptTooLong):
        return 422, "validation", f"Input validation error: {error}"
    if isinstance(error, LlamakitError):
        return 424, "generation", f"Request failed during generation: {error}"
    return 500, "incomplete_generation", "Incomplete generation"


def in_own_words(handler: Handler) -> Handler:
    """A route whose errors are told so, whatever its path."""

    @wraps(handler)
    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except LlamakitError as error:
            status, kind, message = told(error)
            return JSONResponse(body(message, kind), status, COME_AGAIN if status in (429, 503) else None)

    return handle


def body(message: str, kind: str) -> dict[str, Any]:
    return {"error": message, "error_type": kind}


def event_of(problem: Problem) -> Event:
    """An error in the middle of a stream."""
    return Event(body(f"Request failed during generation: {problem.message}", "generation"))


STREAM = Style(event_of, has_done=False)
