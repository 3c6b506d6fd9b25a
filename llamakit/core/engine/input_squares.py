"""Collects how large the inputs of weight matrices are, while a context computes: the raw material of an imatrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.memory import aligned
from llamakit.core.graph.program import Step
from llamakit.core.graph.tap import Rows
from llamakit.core.kernels.input_squares import InputSquares as InputSquaresRecord


@dataclass
class Seen:
    """What one matrix, or each of the experts, was multiplied with so far."""

    sums: npt.NDArray[np.float64]  # (n_matrices, n): squares of each column's inputs, added up
    counts: npt.NDArray[np.int64]  # (n_matrices,): inputs


@dataclass
class _Recent:
    """Sums that kernels add to, in float32: emptied into `Seen` before they lose digits."""

    names: tuple[str, ...]
    width: int
    sums: npt.NDArray[np.float32]  # (n_matrices, pitch)
    counts: npt.NDArray[np.int64]


@dataclass
class InputSquares:
    """An observer for `Context`: after `take`, `seen` has the squares of all inputs since the start.

    `is_wanted` picks weights by name. Batches of fewer than 16 tokens are passed over, as llama-imatrix does.
    """

    is_wanted: Callable[[str], bool]
    seen: dict[str, Seen] = field(default_factory=dict)
    _recent: dict[tuple[str, ...], _Recent] = field(default_factory=dict)

    def wants(self, name: str) -> bool:
        return self.is_wanted(name)

    def steps(self, names: tuple[str, ...], rows: Rows) -> list[Step]:
        if names not in self._recent:
            sums = aligned(4 * rows.n_matrices * rows.pitch).view(np.float32).reshape(rows.n_matrices, rows.pitch)
            self._recent[names] = _Recent(names, rows.width, sums, np.zeros(rows.n_matrices, np.int64))
        recent = self._recent[names]
        return [Step("input_squares.add", InputSquaresRecord(
            x=rows.address, choice=rows.choice, x_share=rows.share, n_rows=rows.n_rows, batch=rows.batch,
            sums=recent.sums, counts=recent.counts, pitch=rows.pitch,
        ))]  # fmt: skip

    def check(self) -> None:
        """Nothing can go wrong."""

    def take(self) -> None:
        """Add what the kernels summed up; call it every few thousand tokens: they count in float32."""
        for recent in self._recent.values():
            for name in recent.names:
                if name not in self.seen:
                    shape = recent.sums.shape[0], recent.width
                    self.seen[name] = Seen(np.zeros(shape), np.zeros(shape[0], np.int64))
                self.seen[name].sums += recent.sums[:, : recent.width]
                self.seen[name].counts += recent.counts
            recent.sums[:], recent.counts[:] = 0, 0
