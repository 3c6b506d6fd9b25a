"""IQ1_M: eight ternary values a point of a grid of 2048, shifted by 1/8 up or down; every 16 have a scale of 3 bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.grid_tile import code_tables, sixteen
from llamakit.core.quants.grids import find_grid
from llamakit.core.quants.iq1_s import SHIFT
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import half_to_float, look_up, look_up_large, spread, to_float, view
from llamakit.core.simd.records import i32x16
from llamakit.errors import UsageError

LAYOUT = np.dtype(
    [
        ("qs", "u1", (32,)),  # bits 0-7 of the indices into the grid
        ("qh", "u1", (16,)),  # a nibble for 8 values: bits 8-10 of the index, and whether the shift is down
        ("scales", "<u2", (4,)),  # four scales of 3 bits and, in the highest nibbles, the half float d
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (2 scale + 1) * (grid +- 1/8)   (n_blocks,) -> (n_blocks, 256)"""
    qh = unpack(blocks["qh"], n_bits=4, run=1)
    index = blocks["qs"] | (qh & 7).astype(np.uint16) << 8
    shift = np.where(qh >> 3, -SHIFT, SHIFT)
    shifted: Floats = find_grid("iq1").values[index] + shift[:, :, None]
    words = blocks["scales"]
    scales = words[:, :, None] >> np.arange(0, 12, 3, dtype=np.uint16) & np.uint16(7)
    step: Floats = column(joined_d(words)) * (2 * scales.reshape(-1, 16) + 1)
    return (step[:, :, None] * shifted.reshape(-1, 16, 16)).reshape(-1, 256)


def joined_d(words: npt.NDArray[np.uint16]) -> npt.NDArray[np.float16]:
    """The half float whose nibbles lie highest in four words, lowest first.   (n_blocks, 4) -> (n_blocks,)"""
    nibbles = words >> 12 << np.arange(0, 16, 4, dtype=np.uint16)
    joined: npt.NDArray[np.uint16] = np.bitwise_or.reduce(nibbles, axis=1)
    return joined.view(np.float16)


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 256,)"""
    raise UsageError("IQ1_M can be read only, so far")


IQ1_M = QuantType(GGMLType.IQ1_M, LAYOUT, dequantize, quantize)


BIAS = 16
FIRST, SECOND = code_tables("iq1")
# eight times the value, for a shift up and for one down
VALUES_LOW, VALUES_HIGH = sixteen([BIAS - 7, BIAS + 1, BIAS + 9, 0, BIAS - 9, BIAS - 1, BIAS + 7])


@inlined
def tile_scales(tile, d, m):
    """D = d / 8 * (2 scale + 1) for each 16 columns; M is not used."""
    words = view(tile, i32x16)
    low, high = words[0], words[1]
    bits = ((low >> 12) & 0xF) | ((low >> 24) & 0xF0) | ((high >> 4) & 0xF00) | ((high >> 16) & 0xF000)
    step = half_to_float(bits) * 0.125
    for k in range(8):
        shift = 16 * (k // 4) + 3 * (k % 4)
        d[k] = step * to_float((((low >> shift) & 7) << 1) | 1)
        d[k + 8] = step * to_float((((high >> shift) & 7) << 1) | 1)


@inlined
def part(tile, h, q):
    words = view(tile + 128, i32x16) + h * 3
    for b in range(2):
        high = spread(words[2], 16 * b, 4, 3, 0)
        first, second = look_up_large(FIRST, words[b], high), look_up_large(SECOND, words[b], high)
        for e in range(4):
            is_down = spread(words[2], 16 * b + 4 * e + 3, 0, 1, 2)
            one, two = spread(first, 8 * e, 2, 2, 0) | is_down, spread(second, 8 * e, 2, 2, 0) | is_down
            k = 8 * b + 2 * e
            q[k], q[k + 1] = look_up(one, VALUES_LOW, VALUES_HIGH), look_up(two, VALUES_LOW, VALUES_HIGH)


# low and high bits of 64 columns follow each other
UNITS = (Unit(48, 8, 4), *(unit for p in range(4) for unit in (Unit(8 * p, 8, 4), Unit(32 + 4 * p, 4, 4))))
TILE = Tile(256, 56, UNITS, 64, 16, has_min=False, bias=BIAS, scales=tile_scales, part=part)
