"""Weights as kernels read them: tiles of 16 rows that are a byte permutation of the GGUF blocks.

A tile holds one block of each of 16 rows, same bytes as the file, field by field and within a field unit by unit: the
16 rows' first unit, then the 16 rows' second. So one vector load brings the same few columns of 16 rows, and a thread
reads its weights in ascending order (anything else costs up to 3x: the prefetcher follows one stream).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from llamakit.core.simd.op import Helper

ROWS = 16


class Unit(NamedTuple):
    """`n_bytes` of each block from `offset` on, permuted in pieces of `size` bytes (1, 2 or 4)."""

    offset: int
    n_bytes: int
    size: int


@dataclass(frozen=True, eq=False)
class Tile:
    """How a quantized type is permuted and unpacked; one GEMV, one GEMM and one embedding kernel serve them all.

    A value is D * (q - bias) + M, with q an unsigned byte and D, M constant over `scale_columns` columns.
    `scales(tile, d, m)` leaves D and M of 16 rows, f32x16 each, for every group of scale columns in the block;
    `part(tile, h, q)` leaves the quants of columns h * part_columns .. (h + 1) * part_columns - 1: q[k] holds columns
    4k .. 4k + 3 of 16 rows, row by row.
    """

    n_columns: int  # of a block
    n_bytes: int  # of a block of one row
    units: tuple[Unit, ...]
    part_columns: int
    scale_columns: int  # 32 or 16
    has_min: bool
    bias: int  # 0, or a power of two
    scales: Helper
    part: Helper

    @property
    def is_wide(self) -> bool:
        """Quants of all eight bits need `dot4_wide`."""
        return self.bias == 128
