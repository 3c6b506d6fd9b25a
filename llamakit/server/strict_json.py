"""JSON as clients may send it: what parsers read differently, or choke on, is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from llamakit.errors import UsageError

DEEPEST = 256  # nested lists and objects; Python's own parser has no limit but the stack's
MOST_DIGITS = 64  # of a whole number


def parse_json(data: bytes) -> Any:
    """The value of a text in UTF-8. Raises UsageError saying what is wrong with it, and where."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"the body is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}") from None
    if text.startswith("\ufeff"):
        raise UsageError("the body begins with a byte order mark; JSON has none")
    if not text.strip():
        raise UsageError("the body is empty; a JSON object is needed")
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"the body is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise too_deep() from None
    check_depth(value)
    return without_surrogates(value) if "\\ud" in text or "\\uD" in text else value


def without_surrogates(value: Any) -> Any:
    """The same, with U+FFFD for each half of a surrogate pair without the other: no UTF-8 can hold them."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [without_surrogates(part) for part in value]
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(part) for key, part in value.items()}
    return value


def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise UsageError(f"the body has the key {shortened(key)} twice in one object")
            seen.add(key)
    return members


def whole_number(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise UsageError(f"the body has a number of {len(text)} digits; {MOST_DIGITS} are the most")
    return int(text)


def number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise UsageError(f"the body has the number {shortened(text)}, which no double can hold")
    return value


def refuse_constant(name: str) -> NoReturn:
    raise UsageError(f"the body has {name}, which JSON has not")


DECODER = json.JSONDecoder(
    object_pairs_hook=members, parse_int=whole_number, parse_float=number, parse_constant=refuse_constant
)


def check_depth(value: Any) -> None:
    """Raises UsageError for what is nested deeper than anything later should have to follow."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            part
            for parent in level
            if isinstance(parent, dict | list)
            for part in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise too_deep()


def too_deep() -> UsageError:
    return UsageError(f"the body is nested deeper than {DEEPEST} lists and objects")


def shortened(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


class StrictRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            try:
                self._json = parse_json(await self.body())
            except UsageError as error:
                raise HTTPException(400, str(error)) from None
        return self._json


class StrictRoute(APIRoute):
    """A route whose JSON is read by `parse_json`: `APIRouter(route_class=StrictRoute)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_strictly
