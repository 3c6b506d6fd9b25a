"""A model's tensors by name: a formula asks for each with the shape it must have, and so says what a model needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from llamakit.core.gguf.metadata import Metadata
from llamakit.core.gguf.types import GGMLType
from llamakit.core.graph.ops import Linear, Node, Weight
from llamakit.errors import ModelError

SUFFIXES = (".weight", ".bias", ".scale")


class FileTensor(Protocol):
    """What a formula sees of a tensor: `shape` in GGUF order, `data` slowest dimension first."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def type(self) -> GGMLType: ...
    @property
    def data(self) -> NDArray[Any]: ...


class ModelFile(Protocol):
    """What a formula is held against: an open file, or one that is yet to be written."""

    @property
    def tensors(self) -> Sequence[FileTensor]: ...
    def tensor(self, name: str) -> FileTensor:
        """Raises KeyError."""

    def __contains__(self, name: object) -> bool: ...


class Misfit(ModelError):
    """Tensors that are not those of the formula: `problems` are names, each with what is wrong."""

    def __init__(self, path: Path, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = problems
        shown = "; ".join(f"{name} {what}" for name, what in problems[:20])
        more = f"; and {len(problems) - 20} more" if len(problems) > 20 else ""
        super().__init__(f"{path}: the tensors do not fit the metadata: {shown}{more}")


@dataclass(frozen=True)
class Matrix:
    """A weight with its scale and bias, ready to multiply: `matrix(x)`."""

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

    def part(self, first: int, n: int) -> Matrix:
        """Some of the rows."""
        return Matrix(self.weight.part(first, n), self.scale, self.bias and self.bias.part(first, n))


@dataclass
class Ledger:
    """What a file has, and what was asked for."""

    found: dict[str, Weight]
    asked: dict[str, tuple[tuple[int, ...], bool]] = field(default_factory=dict)  # shape, is optional
    passed_over: list[str] = field(default_factory=list)  # patterns

    def ask(self, name: str, shape: tuple[int, ...], is_optional: bool) -> Weight | None:
        """The tensor's symbol; one that is missing gets a symbol too, unless it is optional."""
        if is_optional and name in self.found and not self.has(name):
            return None
        self.asked.setdefault(name, (shape, is_optional))
        if name in self.found:
            return replace(self.found[name], shape=shape)
        return None if is_optional else Weight(name, shape, GGMLType.F32)

    def is_passed_over(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.passed_over)

    def has(self, name: str) -> bool:
        return name in self.found and not self.is_passed_over(name)

    def problems(self) -> list[tuple[str, str]]:
        """All that is missing, misshapen or unknown."""
        problems = [
            (name, f"is missing (needs shape {list(shape)})")
            for name, (shape, is_optional) in self.asked.items()
            if not is_optional and name not in self.found
        ]
        for name, weight in self.found.items():
            if name not in self.asked:
                if not self.is_passed_over(name):
                    problems.append((name, "is not a tensor of this architecture"))
            elif without_ones(weight.shape) != without_ones(self.asked[name][0]):
                problems.append((name, f"has shape {list(weight.shape)}, needs {list(self.asked[name][0])}"))
        return problems

    def check(self, path: Path) -> None:
        """Raises one Misfit that lists all problems; ModelError for a file without tensors."""
        if not self.found:
            raise ModelError(f"{path}: a vocabulary only: the file has no tensors to compute with")
        if problems := self.problems():
            raise Misfit(path, problems)


class Tensors:
    """Tensors under a prefix. Names lack ".weight"; shapes are rows first.

    What is asked for must be in the file, except for what `find` asks for, and biases and scales of matrices.
    """

    def __init__(self, ledger: Ledger, prefix: str = "", scales: str | None = None) -> None:
        self._ledger, self._prefix, self._scales = ledger, prefix, prefix if scales is None else scales

    @classmethod
    def of_file(cls, reader: ModelFile) -> Tensors:
        return cls(
            Ledger({t.name: Weight(t.name, tuple(int(n) for n in t.shape[::-1]), t.type) for t in reader.tensors})
        )

    def layer(self, i: int, scales_of: int | None = None) -> Tensors:
        """Block i; the scales of its matrices may be another block's."""
        own = f"{self._prefix}blk.{i}."
        return Tensors(self._ledger, own, own if scales_of is None else f"{self._prefix}blk.{scales_of}.")

    def under(self, prefix: str) -> Tensors:
        return Tensors(self._ledger, self._prefix + prefix)

    def full_name(self, name: str) -> str:
        return self._prefix + (name if name.endswith(SUFFIXES) else f"{name}.weight")

    def has(self, name: str) -> bool:
        return self._ledger.has(self.full_name(name))

    def find(self, name: str, *shape: int) -> Weight | None:
        """A vector or table that may be missing."""
        return self._ledger.ask(self.full_name(name), shape, is_optional=True)

    def __call__(self, name: str, *shape: int) -> Weight:
        """A vector or table."""
        return self._need(self.full_name(name), shape)

    def find_bare(self, name: str, *shape: int) -> Weight | None:
        return self._ledger.ask(self._prefix + name, shape, is_optional=True)

    def bare(self, name: str, *shape: int) -> Weight:
        """A tensor whose name has no ".weight" to it."""
        return self._need(self._prefix + name, shape)

    def reshaped(self, name: str, *shape: int) -> Weight:
        """A tensor that files may have in other dimensions, of as many numbers."""
        full = self.full_name(name)
        found = self._ledger.found.get(full)
        if found and math.prod(found.shape) == math.prod(shape):
            return replace(self._need(full, found.shape), shape=shape)
        return self._need(full, shape)

    def _need(self, name: str, shape: tuple[int, ...]) -> Weight:
        weight = self._ledger.ask(name, shape, is_optional=False)
        assert weight is not None
        return weight

    def matrix(self, name: str, n_rows: int, n_columns: int) -> Matrix:
        """Any may have a bias for each row and one scale for all."""
        scales = Tensors(self._ledger, self._scales)
        scales.pass_over(f"{name}.input_scale")  # for activations in 4 bits, which we do not use
        return Matrix(self(name, n_rows, n_columns), scales.find(f"{name}.scale", 1), self.find(f"{name}.bias", n_rows))

    def linear(self, name: str, x: Node, n_rows: int) -> Linear:
        """x times a matrix."""
        return self.matrix(name, n_rows, x.width)(x)

    def experts(self, name: str, n_expert: int, n_rows: int, n_columns: int) -> Weight:
        """The matrices of all experts in one tensor."""
        self.pass_over(f"{name}.input_scale")
        return self(name, n_expert, n_rows, n_columns)

    def pass_over(self, *patterns: str) -> None:
        """Tensors that a file may have and the formula does not use, even if it looks for them; "*" is anything."""
        self._ledger.passed_over += [
            p for p in (self._prefix + p for p in patterns) if p not in self._ledger.passed_over
        ]

    def check(self, path: Path) -> None:
        """After the formula has asked for all: raises one Misfit that lists what does not fit."""
        self._ledger.check(path)


def uses_all_tensors(meta: Metadata) -> bool:
    """Whether tensors count that llama.cpp passes over in files of this architecture: a key of convert-hf says so."""
    return meta.section("llamakit").bool("uses_all_tensors", False)


def without_ones(shape: Iterable[int]) -> tuple[int, ...]:
    """GGUF drops the slowest dimensions where they are 1, and some files keep them."""
    return tuple(n for n in shape if n != 1)
