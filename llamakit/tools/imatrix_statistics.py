"""What an importance matrix tells of each weight's inputs; the quantities and their order are llama-imatrix's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from llamakit.errors import UsageError
from llamakit.tools.imatrix_file import Imatrix, ImatrixEntry

INACTIVE = 1e-5  # a column whose mean square is not above this counts as silent


@dataclass(frozen=True)
class TensorStatistics:
    """Of the mean squares of one weight's input columns, those of unused experts left out."""

    name: str
    layer: int | None  # None: not in a layer
    short_name: str  # "attn_q"
    n: int
    total: float
    least: float
    most: float
    mean: float
    deviation: float
    active: float  # share of columns above INACTIVE
    entropy: float  # bits, of the columns' shares of the total
    outliers: float  # share of columns more than one deviation above the mean ("ZD")
    similarity: float  # cosine to the same weight one layer below; 0 where there is none

    @property
    def relative_entropy(self) -> float:
        """1: all columns alike."""
        return self.entropy / math.log2(self.n) if self.n > 1 else 0.0


@dataclass(frozen=True)
class LayerStatistics:
    """Means over a layer's weights, each counted by its columns."""

    layer: int
    total: float
    outliers: float
    similarity: float


def tensor_statistics(matrix: Imatrix) -> list[TensorStatistics]:
    """By kind of weight, the largest total first. UsageError when no weight saw any input."""
    found = [one_tensor(name, entry, matrix.entries) for name, entry in matrix.entries.items() if entry.counts.any()]
    if not found:
        raise UsageError("the importance matrix has seen no input: there is nothing to tell")
    return sorted(found, key=lambda row: (row.short_name, -row.total))


def one_tensor(name: str, entry: ImatrixEntry, entries: Mapping[str, ImatrixEntry]) -> TensorStatistics:
    x = entry.importance[entry.counts > 0].astype(np.float64).reshape(-1)
    total, mean, deviation = float(x.sum()), float(x.mean()), float(x.std())
    shares = x[x > 0] / total if total > 0 else x[:0]
    layer, short_name = parts_of(name)
    below = entries.get(name.replace(f"blk.{layer}.", f"blk.{layer - 1}.", 1)) if layer is not None else None
    return TensorStatistics(
        name=name,
        layer=layer,
        short_name=short_name,
        n=x.size,
        total=total,
        least=float(x.min()),
        most=float(x.max()),
        mean=mean,
        deviation=deviation,
        active=float(np.mean(x > INACTIVE)),
        entropy=float(-(shares * np.log2(shares)).sum()),
        outliers=float(np.mean(x > mean + deviation)) if deviation > 0 else 0.0,
        similarity=cosine(entry, below) if below is not None else 0.0,
    )


def parts_of(name: str) -> tuple[int | None, str]:
    """ "blk.3.attn_q.weight" -> (3, "attn_q")"""
    parts = name.split(".")
    layer = int(parts[1]) if parts[0] == "blk" and len(parts) > 1 and parts[1].isdecimal() else None
    return layer, parts[-2] if parts[-1] == "weight" and len(parts) > 1 else name


def cosine(a: ImatrixEntry, b: ImatrixEntry) -> float:
    x, y = a.sums.astype(np.float64).reshape(-1), b.sums.astype(np.float64).reshape(-1)
    length = float(np.linalg.norm(x) * np.linalg.norm(y)) if x.size == y.size else 0.0
    return float(x @ y) / length if length > 0 else 0.0


def layer_statistics(tensors: list[TensorStatistics]) -> list[LayerStatistics]:
    """In the order of the layers; weights outside of layers are left out."""
    layers: dict[int, list[TensorStatistics]] = {}
    for row in tensors:
        if row.layer is not None:
            layers.setdefault(row.layer, []).append(row)
    return [
        LayerStatistics(layer, *(weighted(rows, what) for what in ("total", "outliers", "similarity")))
        for layer, rows in sorted(layers.items())
    ]


def weighted(rows: list[TensorStatistics], what: str) -> float:
    return sum(row.n * float(getattr(row, what)) for row in rows) / sum(row.n for row in rows)
