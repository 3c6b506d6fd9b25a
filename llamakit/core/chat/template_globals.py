"""What chat templates find in their environment, as Hugging Face provides it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from jinja2.exceptions import SecurityError, TemplateError
from jinja2.utils import Cycler, Joiner, Namespace

from llamakit.core.chat import guards
from llamakit.core.chat.meter import LimitExceeded, current_meter


class RaisedException(TemplateError):
    """The template called raise_exception: it refuses these messages."""


def tojson(
    x: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """JSON as Hugging Face's filter writes it: unlike Jinja's own, nothing is escaped for HTML."""
    guards.indentation(indent)
    encoder = json.JSONEncoder(ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    if indent is None and separators is None:
        return encoder.encode(x)
    meter, pieces = current_meter(), []
    for piece in encoder.iterencode(x):  # a piece at a time: deep lists are indented far
        meter.take(len(piece))
        pieces.append(piece)
    return "".join(pieces)


def raise_exception(message: str) -> None:
    raise RaisedException(message)


def strftime_now(format: str) -> str:
    guards.strftime(format)
    return datetime.now().strftime(format)


def bounded_range(*bounds: int) -> range:
    numbers, most = range(*bounds), current_meter().limits.n_range
    if numbers and (numbers[-1] - numbers[0]) // numbers.step >= most:  # len() cannot tell of huge ones
        raise LimitExceeded(f"it makes a range of more than {most} numbers")
    return numbers


class TemplateDict:
    """`dict` without what else the class offers."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args, **kwargs)


class TemplateNamespace(Namespace):
    """`namespace()`, whose names do not begin with an underscore, and which prints as nothing long."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        attributes = dict(*args[1:], **kwargs)
        for name in attributes:
            check_name(name)
        Namespace.__init__(args[0], attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        check_name(name)
        Namespace.__setitem__(self, name, value)

    def __repr__(self) -> str:
        return "<Namespace>"


def check_name(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace takes no name such as {name!r}")


GLOBALS = {
    "range": bounded_range,
    "dict": TemplateDict(),
    "namespace": TemplateNamespace,
    "cycler": Cycler,
    "joiner": Joiner,
    "raise_exception": raise_exception,
    "strftime_now": strftime_now,
}
