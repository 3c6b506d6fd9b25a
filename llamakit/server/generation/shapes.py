"""What bodies hold that is more than a number or a text, as JSON schemas: for the documentation alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llamakit.server.generation.field import Field

TEXT = {"type": "string"}
OBJECT = {"type": "object"}
NULL = {"type": "null"}


@dataclass(frozen=True, slots=True)
class Shaped(Field):
    """A field with a reader and a schema of its own."""

    shape: Mapping[str, Any] = field(default_factory=dict)

    @property
    def schema(self) -> dict[str, Any]:
        return {**self.shape, "description": self.about}


def an_object(optional: Mapping[str, Any] | None = None, **required: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": [*required]}


def a_list(items: Any, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


def one_of(*shapes: Any) -> dict[str, Any]:
    return {"anyOf": [*shapes]}


def words(*values: str) -> dict[str, Any]:
    return {"enum": [*values]}


NAME = {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,128}$"}
SCHEMA = one_of(OBJECT, {"type": "boolean"})
FUNCTION_TYPE = words("function")

# Chats
FUNCTION = an_object({"description": TEXT, "parameters": OBJECT}, name=NAME)
TOOL = an_object({"type": FUNCTION_TYPE}, function=FUNCTION)
TEXT_PART = an_object(type=words("text"), text=TEXT)
CONTENT = one_of(TEXT, a_list(TEXT_PART))
CALL = an_object({"type": FUNCTION_TYPE, "id": TEXT}, function=an_object(name=NAME, arguments=TEXT))
ASSISTANT = words("assistant")
MESSAGES = a_list(
    one_of(
        an_object(role=words("system", "developer", "user"), content=CONTENT),
        an_object({"reasoning_content": TEXT}, role=ASSISTANT, content=CONTENT),
        an_object({"content": one_of(CONTENT, NULL)}, role=ASSISTANT, tool_calls=a_list(CALL, minItems=1)),
        an_object(role=words("tool"), content=CONTENT, tool_call_id=TEXT),
    ),
    minItems=1,
)
USES = words("auto", "none", "required")
TOOL_CHOICE = one_of(USES, an_object({"type": FUNCTION_TYPE}, function=an_object(name=NAME)), NULL)
RESPONSE_FORMAT = one_of(
    an_object(type=words("text")),
    an_object({"schema": SCHEMA}, type=words("json_object")),
    an_object(type=words("json_schema"), json_schema=an_object({"name": TEXT}, schema=SCHEMA)),
    NULL,
)

# Responses
INPUT_PARTS = a_list(an_object(type=words("input_text", "output_text"), text=TEXT))
INPUT = one_of(
    TEXT,
    a_list(
        one_of(
            an_object(role=words("user", "assistant", "system", "developer"), content=one_of(TEXT, INPUT_PARTS)),
            an_object(type=words("function_call"), call_id=TEXT, name=NAME, arguments=TEXT),
            an_object(type=words("function_call_output"), call_id=TEXT, output=TEXT),
        ),
        minItems=1,
    ),
)
FLAT_TOOL = an_object({"description": TEXT, "parameters": OBJECT}, type=FUNCTION_TYPE, name=NAME)
FLAT_TOOL_CHOICE = one_of(USES, an_object(type=FUNCTION_TYPE, name=NAME), NULL)

# Anthropic's messages
BLOCK = one_of(
    TEXT_PART,
    an_object(type=words("tool_use"), id=TEXT, name=NAME, input=OBJECT),
    an_object({"content": CONTENT}, type=words("tool_result"), tool_use_id=TEXT),
)
BLOCKS = one_of(TEXT, a_list(BLOCK, minItems=1))
TURNS = a_list(an_object(role=words("user", "assistant"), content=BLOCKS), minItems=1)
SCHEMA_TOOL = an_object({"description": TEXT}, name=NAME, input_schema=OBJECT)
SCHEMA_TOOL_CHOICE = one_of(
    an_object(type=words("auto", "any", "none")), an_object(type=words("tool"), name=NAME), NULL
)
