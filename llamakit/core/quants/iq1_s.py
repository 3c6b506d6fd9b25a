"""IQ1_S: eight ternary values a point of a grid of 2048; every 32 have a scale of 3 bits and a shift by 1/8."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.grid_tile import code_tables
from llamakit.core.quants.grids import find_grid
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import as_float, as_int, look_up_large, spread, to_float, view
from llamakit.core.simd.records import f16x16, i32x16
from llamakit.errors import UsageError

LAYOUT = np.dtype(
    [
        ("d", "<f2"),
        ("qs", "u1", (32,)),  # bits 0-7 of the indices into the grid
        ("qh", "<u2", (8,)),  # 32 values: bits 8-10 of four indices, the scale, and whether the shift is down
    ]
)
SHIFT = np.float32(0.125)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (2 scale + 1) * (grid +- 1/8)   (n_blocks,) -> (n_blocks, 256)"""
    qh = blocks["qh"]
    high = qh[:, :, None] >> np.arange(0, 12, 3, dtype=np.uint16) & np.uint16(7)
    values = find_grid("iq1").values[blocks["qs"] | high.reshape(-1, 32) << 8].reshape(-1, 8, 32)
    step: Floats = column(blocks["d"]) * (2 * (qh >> 12 & 7) + 1)
    shift = np.where(qh >> 15, -SHIFT, SHIFT)
    shifted: Floats = values + shift[:, :, None]
    return (step[:, :, None] * shifted).reshape(-1, 256)


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 256,)"""
    raise UsageError("IQ1_S can be read only, so far")


IQ1_S = QuantType(GGMLType.IQ1_S, LAYOUT, dequantize, quantize, needs_imatrix=True)


FIRST, SECOND = code_tables("iq1")


@inlined
def tile_scales(tile, d, m):
    """D = d * (2 scale + 1), M = D / 8 with the sign of the shift, for each 32 columns."""
    step, words = view(tile, f16x16)[0], view(tile + 32, i32x16)
    for k in range(8):
        high = words[k // 2 * 3 + 2] << (16 * (1 - k % 2))  # of this group in the upper half
        d[k] = step * to_float(((high >> 27) & 14) | 1)
        m[k] = as_float(as_int(d[k] * 0.125) ^ (high & -0x80000000))


@inlined
def part(tile, h, q):
    words = view(tile + 32, i32x16) + h * 3
    for b in range(2):
        high = spread(words[2], 16 * b, 3, 3, 0)
        first, second = look_up_large(FIRST, words[b], high), look_up_large(SECOND, words[b], high)
        for e in range(4):
            q[8 * b + 2 * e], q[8 * b + 2 * e + 1] = spread(first, 8 * e, 2, 2, 0), spread(second, 8 * e, 2, 2, 0)


# low and high bits of 64 columns follow each other
UNITS = (Unit(0, 2, 2), *(unit for p in range(4) for unit in (Unit(2 + 8 * p, 8, 4), Unit(34 + 4 * p, 4, 4))))
TILE = Tile(256, 50, UNITS, 64, 32, has_min=True, bias=1, scales=tile_scales, part=part)
