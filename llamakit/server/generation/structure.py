"""Schemas that a field of a request asks for."""

from __future__ import annotations

from typing import Any

from llamakit.core.chat import request as core
from llamakit.core.chat.request import AnswerError
from llamakit.core.grammar.rules import Rules
from llamakit.server.generation.field import FieldError


def rules_of_schema(schema: Any, param: str) -> Rules:
    """Raises FieldError, which names the field and the place in the schema that cannot be held to."""
    try:
        return core.rules_of_schema(schema, param)
    except AnswerError as error:
        raise FieldError(error.param, error.reason) from None
