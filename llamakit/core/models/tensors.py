"""A model's tensors by name: which it must have, of which shape, and their symbols in the graph."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.graph.ops import Linear, Node, Weight
from llamakit.errors import ModelError


@dataclass(frozen=True)
class Spec:
    """A tensor that an architecture knows: GGUF name without ".weight", shape with rows first."""

    name: str
    shape: tuple[int, ...]
    is_optional: bool = False


def matrix(name: str, n_rows: int, n_columns: int, is_optional: bool = False) -> list[Spec]:
    """A weight matrix; any may have a bias for each row and one scale for all."""
    return [
        Spec(f"{name}.weight", (n_rows, n_columns), is_optional),
        Spec(f"{name}.bias", (n_rows,), True),
        Spec(f"{name}.scale", (1,), True),
        Spec(f"{name}.input_scale", (1,), True),  # for activations in 4 bits, which we do not use
    ]


def experts(name: str, n_expert: int, n_rows: int, n_columns: int) -> list[Spec]:
    """The matrices of all experts in one tensor."""
    return [
        Spec(f"{name}.weight", (n_expert, n_rows, n_columns)),
        Spec(f"{name}.scale", (n_expert,), True),
        Spec(f"{name}.input_scale", (n_expert,), True),
    ]


def vector(name: str, n: int, is_optional: bool = False) -> list[Spec]:
    return [Spec(f"{name}.weight", (n,), is_optional)]


@dataclass(frozen=True)
class Matrix:
    """A weight with its scale and bias, ready to multiply: `w.attn_q(x)`."""

    weight: Weight
    scale: Weight | None
    bias: Weight | None

    def __call__(self, x: Node) -> Linear:
        """(W x) * scale + bias"""
        return Linear(x, self.weight, self.scale, self.bias)

    def scaled_last(self, x: Node) -> Linear:
        """(W x + bias) * scale"""
        return Linear(x, self.weight, self.scale, self.bias, is_bias_scaled=True)

    def unscaled(self, x: Node) -> Linear:
        """W x + bias, whatever scale the file has."""
        return Linear(x, self.weight, None, self.bias)


class Tensors:
    """Symbols by name: `w.blk[3].attn_q` stands for "blk.3.attn_q.weight" with its bias and scale.

    A matrix comes as `Matrix`, a vector or a table of experts as `Weight`. `has` asks, `vector` reads numbers.
    """

    def __init__(self, weights: dict[str, Weight], prefix: str = "") -> None:
        self._weights, self._prefix = weights, prefix

    def has(self, name: str) -> bool:
        return f"{self._prefix}{name}.weight" in self._weights

    def find(self, name: str) -> Weight | None:
        """The tensor of the whole name, ".bias" and the like included, or None."""
        return self._weights.get(f"{self._prefix}{name}")

    def __getattr__(self, name: str) -> Any:
        weight = self._weights.get(f"{self._prefix}{name}.weight")
        if weight is None:
            raise AttributeError(f"the model has no tensor {self._prefix}{name}.weight")
        if len(weight.shape) == 2:
            return Matrix(weight, self.find(f"{name}.scale"), self.find(f"{name}.bias"))
        return weight

    @cached_property
    def blk(self) -> list[Tensors]:
        n = 1 + max((int(name.split(".")[1]) for name in self._weights if name.startswith("blk.")), default=-1)
        return [Tensors(self._weights, f"blk.{i}.") for i in range(n)]


def symbols(reader: GGUFReader, specs: Iterable[Spec], path: Path) -> Tensors:
    """The symbols of a file's tensors. Raises one ModelError that lists all that is missing, unknown or misshapen."""
    known = {spec.name: spec for spec in specs}
    found = {t.name: Weight(t.name, tuple(int(n) for n in t.shape[::-1]), t.type) for t in reader.tensors}
    problems = [
        f"{spec.name} is missing (needs shape {list(spec.shape)})"
        for spec in known.values()
        if not spec.is_optional and spec.name not in found
    ]
    for name, weight in found.items():
        if name not in known:
            problems.append(f"{name} is not a tensor of this architecture")
        elif without_ones(weight.shape) != without_ones(known[name].shape):
            problems.append(f"{name} has shape {list(weight.shape)}, needs {list(known[name].shape)}")
        else:
            found[name] = replace(weight, shape=known[name].shape)
    if problems:
        shown = "; ".join(problems[:20]) + (f"; and {len(problems) - 20} more" if len(problems) > 20 else "")
        raise ModelError(f"{path}: the tensors do not fit the metadata: {shown}")
    return Tensors(found)


def without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """GGUF drops the slowest dimensions where they are 1."""
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape
