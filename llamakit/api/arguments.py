"""Arguments as programs give them, checked where they come in: UsageError names the one that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import index
from typing import Any

from llamakit.errors import UsageError


def whole_number(name: str, value: Any, least: int | None = None) -> int:
    """NumPy's are fine, and True is 1, as everywhere in Python."""
    try:
        number = index(value)
    except TypeError:
        raise UsageError(f"{name} is {shown(value)}; it must be a whole number") from None
    if least is not None and number < least:
        raise UsageError(f"{name} is {number}; it must be at least {least}")
    return number


def token_ids(name: str, value: Any) -> list[int]:
    """Of a list or an array; texts and bytes are none."""
    if isinstance(value, str | bytes | bytearray | Mapping) or not isinstance(value, Iterable):
        raise UsageError(f"{name} is {shown(value)}; it must be a text or a list of token ids")
    ids = []
    try:
        for id in value:
            ids.append(index(id))
    except TypeError:
        raise UsageError(f"{name}[{len(ids)}] is {shown(id)}; a token id is a whole number") from None
    return ids


def listed(name: str, value: Any, kind: str) -> list[Any]:
    """Of anything that gives one after the other; None is none."""
    if value is None:
        return []
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise UsageError(f"{name} is {shown(value)}; it must be a list of {kind}")
    return list(value)


def texts(name: str, value: Any) -> tuple[str, ...]:
    """One, or several; None is none."""
    found = [value] if isinstance(value, str) else listed(name, value, "texts")
    for i, text in enumerate(found):
        if not isinstance(text, str):
            raise UsageError(f"{name}[{i}] is {shown(text)}; it must be a text")
    return tuple(found)


def functions(name: str, value: Any) -> tuple[Callable[..., Any], ...]:
    """A list of them, or None."""
    found = listed(name, value, "functions")
    for i, function in enumerate(found):
        a_function(f"{name}[{i}]", function)
    return tuple(found)


def a_function(name: str, value: Any) -> None:
    """Raise UsageError for what cannot be called; None is fine."""
    if value is not None and not callable(value):
        raise UsageError(f"{name} is {shown(value)}; it must be a function")


def biases(value: Any) -> dict[int, float]:
    """The logit_bias of a request, whose ids may be texts, as in JSON."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError(f"logit_bias is {shown(value)}; it must map token ids to numbers")
    try:
        return {int(token): float(bias) for token, bias in value.items()}
    except (TypeError, ValueError) as error:
        raise UsageError(f"logit_bias: maps token ids to numbers; {error}") from None


def plain(value: Any) -> Any:
    """Of a mapping of any kind, a dictionary."""
    return dict(value) if isinstance(value, Mapping) else value


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
