"""What a `Llama` says on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from llamakit.api.options import idle
from llamakit.core.engine.context import Context


def describe(context: Context, given: Mapping[str, Any]) -> str:
    """The model as it was opened, and which of the options given to it change nothing."""
    model, cache = context.model, context.cache
    names = ", ".join(idle(given))
    passed_over = f"\nllamakit: these options change nothing here: {names}" if names else ""
    return (
        f"llamakit: {model.description}, {model.n_bytes / 2**20:.0f} MiB, n_ctx {context.n_ctx} "
        f"(K {cache.type_k.name}, V {cache.type_v.name}), {context.n_threads} threads{passed_over}"
    )


def say_when_compiling() -> Callable[[str, int, int], None]:
    def report(stage: str, done: int, total: int) -> None:
        if stage == "compile" and done == 1:
            print("llamakit: compiling kernels for this machine, once", file=sys.stderr)

    return report
