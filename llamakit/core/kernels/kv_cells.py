"""How the KV cache lies in memory: the one place that knows.

A layer's keys are [n_blocks][n_head_kv] groups of bytes, a block being 64 positions; its values likewise. Within one
(block, head):

    keys     head_dim rows of 64 positions (transposed: a vector holds one dimension of 16 keys)
    values   64 rows of head_dim_v, each filled up with zeros to a multiple of 16

q8_0 keeps int8 quants in these places and, behind them, the f16 scales of each 32 dimensions: one row of 64 positions
for every group of dimensions, for keys and values alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from llamakit.core.simd.op import Helper, helper
from llamakit.core.simd.ops import to_float, view, widen
from llamakit.core.simd.records import (
    Scalar,
    Vector,
    bf16,
    bf16x16,
    f16,
    f16x16,
    f32,
    f32x16,
    i8,
    i8x16,
)

BLOCK = 64  # positions
GROUP = 32  # dimensions that share a scale in q8_0


@dataclass(frozen=True)
class CellType:
    """A type of keys or values. A kernel reads 16 of them as `load(p, i)`: vector i behind p, without scales."""

    name: str
    element: Scalar
    vector: Vector
    load: Helper
    has_scales: bool = False

    def row_bytes(self, n: int) -> int:
        return n * self.element.size

    def scale_bytes(self, head_dim: int) -> int:
        return -(-head_dim // GROUP) * BLOCK * f16.size if self.has_scales else 0

    def key_bytes(self, head_dim: int) -> int:
        """Bytes of the keys of one (block, head)."""
        return head_dim * self.row_bytes(BLOCK) + self.scale_bytes(head_dim)

    def value_bytes(self, head_dim_v: int) -> int:
        """Bytes of the values of one (block, head)."""
        return BLOCK * self.row_bytes(-(-head_dim_v // 16) * 16) + self.scale_bytes(head_dim_v)


def plain(name: str, element: Scalar, vector: Vector) -> CellType:
    @helper
    def load(p, i):
        return view(p, vector)[i]

    return CellType(name, element, vector, load)


@helper
def load_quants(p, i):
    return to_float(widen(view(p, i8x16)[i]))


CELL_TYPES = {
    t.name: t
    for t in (
        plain("f32", f32, f32x16),
        plain("f16", f16, f16x16),
        plain("bf16", bf16, bf16x16),
        CellType("q8_0", i8, i8x16, load_quants, has_scales=True),
    )
}
