"""Traces of a `Llama`'s own sequence."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from llamakit.core.engine.trace import Hook, Trace

if TYPE_CHECKING:
    from llamakit.api.llama import Llama


class LlamaTrace(Trace):
    """A trace that has the context for its thread from `with` to its end."""

    def __init__(self, llama: Llama, *patterns: str, hooks: Mapping[str, Hook] | None = None) -> None:
        self._llama, self._open = llama, ExitStack()
        with llama.alone() as context:
            super().__init__(context, *patterns, hooks=hooks)

    def __enter__(self) -> LlamaTrace:
        self._open.enter_context(self._llama.alone())
        try:
            super().__enter__()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        with self._open:
            super().__exit__(*error)
