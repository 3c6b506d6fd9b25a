"""How the KV cache lies in memory: the one place that knows.

A layer's keys are [n_head_kv][n_blocks] groups of bytes, a block being 64 positions; its values likewise. Blocks of one
head follow each other, so that a long sequence is read as one stream. Within one (head, block):

    keys     head_dim rows of 64 positions (transposed: a vector holds one dimension of 16 keys)
    values   64 rows of head_dim_v, each filled up with zeros to a multiple of 16

q8_0 keeps int8 quants in these places and, behind them, the f16 scales of each 32 dimensions: one row of 64 positions
for every group of dimensions, for keys and values alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.simd.op import Helper, helper
from llamakit.core.simd.ops import to_float, view, widen
from llamakit.core.simd.records import (
    Ptr,
    Record,
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
    i64,
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
        """Bytes of the keys of one (head, block)."""
        return head_dim * self.row_bytes(BLOCK) + self.scale_bytes(head_dim)

    def value_bytes(self, head_dim_v: int) -> int:
        """Bytes of the values of one (head, block)."""
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


class LayerCache(Record):
    """Base of the records of kernels that use one layer's cache. `n_blocks` follows from the size of `keys`."""

    keys: Ptr[i8]
    values: Ptr[i8]
    n_blocks: i64
    n_head_kv: i64
    head_dim: i64
    head_dim_v: i64
    key_bytes: i64  # CellType.key_bytes(head_dim)
    value_bytes: i64  # CellType.value_bytes(head_dim_v)

    def __init__(self, *, keys: npt.NDArray[np.uint8], n_head_kv: int, key_bytes: int, **fields: Any) -> None:
        n_blocks = keys.nbytes // max(n_head_kv * key_bytes, 1)
        super().__init__(keys=keys, n_head_kv=n_head_kv, key_bytes=key_bytes, n_blocks=n_blocks, **fields)


@helper
def keys_of(op, head, block):
    return op.keys + (head * op.n_blocks + block) * op.key_bytes


@helper
def values_of(op, head, block):
    return op.values + (head * op.n_blocks + block) * op.value_bytes
