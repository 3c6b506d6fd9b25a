"""What a `Llama` says on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable

from llamakit.core.engine.context import Context


def describe(context: Context) -> str:
    model, cache = context.model, context.cache
    return (
        f"llamakit: {model.description}, {model.n_bytes / 2**20:.0f} MiB, n_ctx {context.n_ctx} "
        f"(K {cache.type_k.name}, V {cache.type_v.name}), {context.n_threads} threads"
    )


def say_when_compiling() -> Callable[[str, int, int], None]:
    def report(stage: str, done: int, total: int) -> None:
        if stage == "compile" and done == 1:
            print("llamakit: compiling kernels for this machine, once", file=sys.stderr)

    return report
