"""What a kernel is: a plain Python function `void(record *, thread, n_threads)` with the record it reads.

Kernels are named `module.function`, with what they are specialized for in brackets: `gemv.rows[:q4_k]` is what
`rows(TILE)` of `kernels/gemv.py` makes of the TILE in `core/quants/q4_k.py` (a colon marks a quantized type), and
`:q4_k.PACKING` is what that file calls PACKING.
Nothing here, nor in any kernel file, imports Numba: `jit.py` gives the functions meaning in a compiler process.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from llamakit.core.simd.op import helper
from llamakit.core.simd.records import Record, i64

PACKAGE = "llamakit.core.kernels"
QUANTS = "llamakit.core.quants"


@dataclass(frozen=True, eq=False)
class Kernel:
    """A function to compile. `parameters` are kinds: a pointer to the record first."""

    function: Callable[..., Any]
    parameters: tuple[Any, ...]
    constants: dict[str, int] = field(default_factory=dict)


def kernel(record: type[Record], **constants: int) -> Callable[[Callable[..., Any]], Kernel]:
    """@kernel(RmsNorm): the function's arguments are a pointer to that record, the thread and their number.

    `constants` fix fields of the record when the kernel is compiled: reading one is no load but a number.
    """
    return lambda function: Kernel(function, (record, i64, i64), constants)


def split_name(name: str) -> tuple[str, str, tuple[str, ...]]:
    """ "gemv.rows[:q4_k]" -> ("gemv", "rows", (":q4_k",))."""
    base, _, rest = name.partition("[")
    module, _, function = base.partition(".")
    return module, function, tuple(rest.rstrip("]").split(",")) if rest else ()


def find(name: str) -> Kernel:
    """The kernel of a name; imports its module, and those of the quantized types it is specialized for."""
    module, function, arguments = split_name(name)
    found = getattr(importlib.import_module(f"{PACKAGE}.{module}"), function)
    return found(*map(argument, arguments)) if arguments else found


def argument(text: str) -> Any:
    """A number, a word, or the TILE (or what is named) of a quantized type's module."""
    if text.lstrip("-").isdigit():
        return int(text)
    if not text.startswith(":"):
        return text
    module, _, name = text[1:].partition(".")
    return getattr(importlib.import_module(f"{QUANTS}.{module}"), name or "TILE")


@helper
def share(n, thread, n_threads):  # type: ignore[no-untyped-def]
    """This thread's part [first, last) of n items: the static split all kernels use."""
    return n * thread // n_threads, n * (thread + 1) // n_threads
