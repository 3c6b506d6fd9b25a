"""How kernels are written without importing Numba: operations and helpers are plain objects until a compiler
process gives them meaning (`lower.py`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

OPS: list[Op] = []


@dataclass(frozen=True, eq=False)
class Op:
    """An operation that kernels call by name and that becomes a line or two of LLVM IR.

    `parameters` are kinds of `records.py`, or `ANY`; `returns` is a kind, `None`, or a function of the
    argument types for the few operations whose result depends on them. `emit(b, *values)` writes the IR through
    `emitter.Emitter`.
    """

    name: str
    parameters: tuple[Any, ...]
    returns: Any
    emit: Callable[..., Any]

    def __call__(self, *args: Any) -> Any:
        raise TypeError(f"{self.name} runs in kernels only")


class Any_:
    """Matches every argument of an operation."""


ANY = Any_()


def op(*parameters: Any, returns: Any = None) -> Callable[[Callable[..., Any]], Op]:
    """Declare an operation: @op(f32x16, returns=f32) def sum_lanes(b, x): ..."""

    def declare(emit: Callable[..., Any]) -> Op:
        made = Op(emit.__name__, parameters, returns, emit)
        OPS.append(made)
        return made

    return declare


class Helper:
    """A function that kernels call and that is compiled into each of them."""

    def __init__(self, function: Callable[..., Any], is_inlined: bool = False) -> None:
        self.function, self.is_inlined = function, is_inlined
        self.dispatcher: Any = None  # Numba's, made in the compiler process

    def __call__(self, *args: Any) -> Any:
        raise TypeError(f"{self.function.__name__} runs in kernels only")


class Table:
    """Bytes that are part of a kernel: it looks numbers up in them. `make` runs where the kernel is compiled.

    `n_bytes` is a power of two, at least 128.
    """

    def __init__(self, n_bytes: int, make: Callable[[], bytes]) -> None:
        self.n_bytes, self.make = n_bytes, make


def helper(function: Callable[..., Any]) -> Any:
    """A helper of kernels; LLVM inlines it where that pays."""
    return Helper(function)


def inlined(function: Callable[..., Any]) -> Any:
    """A helper that must be part of its caller, because it is given registers by address."""
    return Helper(function, is_inlined=True)
