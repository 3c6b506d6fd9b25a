"""A limit on the work of schemas and grammars. Steps are counted, not seconds: the answer is the same everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from llamakit.core.grammar.errors import GrammarError

_left: ContextVar[list[int] | None] = ContextVar("steps left", default=None)


@contextmanager
def limited(steps: int) -> Iterator[None]:
    """What is done within may spend this many steps. Raises GrammarError beyond."""
    token = _left.set([steps])
    try:
        yield
    finally:
        _left.reset(token)


def spend(steps: int) -> None:
    left = _left.get()
    if left is not None:
        left[0] -= steps
        if left[0] < 0:
            raise GrammarError(
                "this takes too long to work out: it is too large, or its parts combine in too many ways"
            )
