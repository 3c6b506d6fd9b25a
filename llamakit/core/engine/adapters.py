"""LoRA adapters: GGUF files of small matrices A and B for tensors of a model, W + scale * alpha / rank * B A.

Keys: general.type "adapter", adapter.type "lora", general.architecture that of the model, adapter.lora.alpha (0: as the
rank). Tensors: NAME.lora_a (rank, columns) and NAME.lora_b (rows, rank) for tensor NAME of the model, rows first; of
token_embd.weight, lora_a has a row for each token. Source: llama.cpp's `llama-adapter.cpp`, `convert_lora_to_gguf.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.load import Model
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.types import GGMLType
from llamakit.core.graph.adapters import LowRank, adapt
from llamakit.core.graph.ops import Weight
from llamakit.core.graph.ops.node import Node, in_order
from llamakit.core.graph.weights import Weights
from llamakit.core.quants import dequantize
from llamakit.errors import ModelError

Floats = npt.NDArray[np.float32]
EMBEDDING = "token_embd.weight"
SUFFIXES = (".lora_a", ".lora_b")


@dataclass(frozen=True, eq=False)
class Pair:
    """Of one tensor.   a: float32 (rank, columns), b: float32 (rows, rank); with experts, a dimension more in front"""

    a: Floats
    b: Floats

    @property
    def rank(self) -> int:
        return int(self.b.shape[-1])

    def product(self, is_embedding: bool = False) -> Floats:
        """What is added to the tensor, but for the scale.   -> (rows, columns)"""
        if is_embedding:
            return self.a @ self.b.T
        return np.asarray(self.b @ self.a, np.float32)


@dataclass(frozen=True, eq=False)
class Adapter:
    """An adapter in memory; `pairs` by names of the model's tensors. Norms in it are not applied: `passed_over`."""

    path: Path
    arch: str
    alpha: float
    pairs: Mapping[str, Pair]
    metadata: Mapping[str, Any]
    passed_over: tuple[str, ...] = ()

    @property
    def n_bytes(self) -> int:
        return sum(pair.a.nbytes + pair.b.nbytes for pair in self.pairs.values())

    def factor(self, name: str) -> float:
        """What a tensor's product is multiplied by at scale 1."""
        return self.alpha / self.pairs[name].rank if self.alpha else 1.0


def load_adapter(path: str | Path) -> Adapter:
    """Read an adapter file. Raises GGUFError for a damaged file, ModelError for one that holds no LoRA adapter."""
    with GGUFReader(path) as reader:
        metadata = {key: reader.metadata[key] for key in reader.metadata}
        for key, wanted in (("general.type", "adapter"), ("adapter.type", "lora")):
            if metadata.get(key) != wanted:
                said = f"is {metadata[key]!r:.40}" if key in metadata else "is missing"
                raise ModelError(f"{path}: no LoRA adapter: {key} {said}, not {wanted!r}; see llamakit convert-lora")
        arch, alpha = metadata.get("general.architecture"), metadata.get("adapter.lora.alpha", 0.0)
        if not isinstance(arch, str):
            raise ModelError(f"{path}: general.architecture does not say which models the adapter is for")
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not np.isfinite(alpha):
            raise ModelError(f"{path}: adapter.lora.alpha is {alpha!r:.40}, not a number")
        halves: dict[str, dict[str, Floats]] = {}
        passed_over = []
        for tensor in reader.tensors:
            name, dot, kind = tensor.name.rpartition(".")
            if dot + kind in SUFFIXES:
                halves.setdefault(name, {})[kind] = np.array(dequantize(tensor.data, tensor.type), np.float32)
            elif tensor.name.endswith("_norm.weight"):
                passed_over.append(tensor.name)
            else:
                raise ModelError(f"{path}: tensor {tensor.name} is neither of {' and '.join(SUFFIXES)}")
    pairs = {name: pair_of(path, name, found) for name, found in halves.items()}
    if not pairs:
        raise ModelError(f"{path}: the adapter has no tensors")
    return Adapter(Path(path), arch, float(alpha), pairs, metadata, tuple(passed_over))


def pair_of(path: str | Path, name: str, halves: Mapping[str, Floats]) -> Pair:
    for kind in ("lora_a", "lora_b"):
        if kind not in halves:
            raise ModelError(f"{path}: tensor {name}.{kind} is missing; is the file cut short?")
    pair = Pair(halves["lora_a"], halves["lora_b"])
    rank_of_a = pair.a.shape[-1 if name == EMBEDDING else -2] if pair.a.ndim > 1 else 0
    if pair.b.ndim != pair.a.ndim or rank_of_a != pair.rank or not pair.rank:
        raise ModelError(
            f"{path}: {name}.lora_a and .lora_b have the shapes {list(pair.a.shape)} and {list(pair.b.shape)}: no rank"
        )
    return pair


def check_adapter(adapter: Adapter, arch: str, reader: GGUFReader) -> None:
    """Raises ModelError where an adapter's architecture, tensors or shapes are not those of a model."""
    if adapter.arch != arch:
        raise ModelError(f"{adapter.path}: the adapter is for {adapter.arch} models, {reader.path} is {arch}")
    for name, pair in adapter.pairs.items():
        if name not in reader:
            raise ModelError(f"{adapter.path}: {reader.path} has no tensor {name}; is it another base model?")
        want = reader.tensor(name).shape[::-1]
        if name == EMBEDDING:
            got: tuple[int, ...] = (pair.a.shape[0], pair.b.shape[0])
        else:
            got = (*pair.b.shape[:-1], pair.a.shape[-1])
        if got != want:
            raise ModelError(
                f"{adapter.path}: {name} is {list(got)} in the adapter and {list(want)} in {reader.path}; "
                "is it another base model?"
            )


class AdaptersInUse:
    """What a context computes with: symbols of the graph, and their numbers among the weights.

    Added tensors have numbers in their names: those of two adapters differ, and those of the last set from these.
    """

    def __init__(self, model: Model, weights: Weights, n_added: int = 0) -> None:
        self.model, self.weights = model, weights
        self.n_added = n_added  # adapters that any context's set ever had
        self._adapters: list[tuple[Adapter, dict[str, str], float]] = []  # with names of the scales by tensor
        self._names: list[str] = []
        self.changes: dict[str, list[LowRank]] = {}

    def scaled(self) -> list[tuple[Adapter, float]]:
        return [(adapter, scale) for adapter, _, scale in self._adapters]

    def add(self, graph: Node, adapters: Sequence[tuple[Adapter, float]]) -> Node:
        """The graph with these adapters, whose tensors the weights get. Raises ModelError as `check_adapter` does."""
        for adapter, _ in adapters:
            check_adapter(adapter, self.model.arch, self.model.reader)
        changes = self.changes
        for adapter, scale in adapters:
            scales = {name: f"{name}.{self.n_added}.scale" for name in adapter.pairs}
            for name, pair in adapter.pairs.items():
                a = self._symbol(f"{name}.{self.n_added}.a", pair.a)
                b = self._symbol(f"{name}.{self.n_added}.b", pair.b)
                factor = self._symbol(scales[name], scale_of(adapter, name, scale))
                changes.setdefault(name, []).append(LowRank(a, b, factor))
            self._adapters.append((adapter, scales, float(scale)))
            self.n_added += 1
        result = adapt(graph, changes)
        used = {node.name for node in in_order(result) if isinstance(node, Weight)}
        for name, pairs in changes.items():
            if any(pair.b.name not in used for pair in pairs):
                self.forget()
                raise ModelError(
                    f"an adapter changes {name}, which cannot be done while a {self.model.arch} model runs; "
                    "merge it with llamakit export-lora"
                )
        return result

    def rescale(self, adapters: Sequence[tuple[Adapter, float]]) -> bool:
        """Change the scales only, where the adapters are the same in the same order; else False."""
        if [id(adapter) for adapter, _ in adapters] != [id(adapter) for adapter, _, _ in self._adapters]:
            return False
        for i, (adapter, scale) in enumerate(adapters):
            _, scales, before = self._adapters[i]
            if scale != before:
                for name, symbol in scales.items():
                    self.weights.add(symbol, scale_of(adapter, name, scale))
                self._adapters[i] = adapter, scales, float(scale)
        return True

    def forget(self) -> None:
        """Drop all tensors that were added."""
        for name in self._names:
            self.weights.forget(name)

    def _symbol(self, name: str, data: Floats) -> Weight:
        self.weights.add(name, data)
        self._names.append(name)
        return Weight(name, data.shape, GGMLType.F32)


def scale_of(adapter: Adapter, name: str, scale: float) -> Floats:
    return np.asarray([scale * adapter.factor(name)], np.float32)
