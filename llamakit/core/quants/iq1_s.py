"""IQ1_S: eight ternary values a point of a grid of 2048; every 32 have a scale of 3 bits and a shift by 1/8."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.grids import find_grid
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
