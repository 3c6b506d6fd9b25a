"""IQ2_XS: eight values a point of a grid of 512; every 16 have a scale of 4 bits, and signs with even minuses."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.grid_tile import even_signs, points_of_8, scales_by_16
from llamakit.core.quants.grids import EVEN_SIGNS, find_grid, scaled, signs_of
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import view
from llamakit.core.simd.records import f16x16, i32x16
from llamakit.errors import UsageError

LAYOUT = np.dtype(
    [
        ("d", "<f2"),
        ("qs", "<u2", (32,)),  # eight values: bits 0-8 the index into the grid, bits 9-15 the signs
        ("scales", "u1", (8,)),  # low nibble the first 16 values of 32, high nibble the rest
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (scale + 1/2) / 4 * sign * grid   (n_blocks,) -> (n_blocks, 256)"""
    qs = blocks["qs"]
    values = find_grid("iq2_xs").values[qs & 511].reshape(-1, 256)
    scales = unpack(blocks["scales"], n_bits=4, run=1) + np.float32(0.5)
    return scaled(column(blocks["d"]) * scales * np.float32(0.25), values * signs_of(EVEN_SIGNS[qs >> 9]))


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 256,)"""
    raise UsageError("IQ2_XS can be read only, so far")


IQ2_XS = QuantType(GGMLType.IQ2_XS, LAYOUT, dequantize, quantize, needs_imatrix=True)


BIAS = 64
points = points_of_8("iq2_xs", BIAS)


@inlined
def tile_scales(tile, d, m):
    """D = d / 4 * (scale + 1/2) for each 16 columns; M is not used."""
    scales_by_16(view(tile, f16x16)[0] * 0.25, view(tile + 32, i32x16), d)


@inlined
def part(tile, h, q):
    """Lower and upper bytes of four indices, each in the order 0, 2, 1, 3."""
    words = view(tile + 160, i32x16) + h * 2
    low = (words[0] & 0x00FF00FF) | ((words[1] & 0x00FF00FF) << 8)
    high = ((words[0] >> 8) & 0x00FF00FF) | (words[1] & 0xFF00FF00)
    points(low, high, even_signs((high >> 1) & 0x7F7F7F7F), True, q)


UNITS = (Unit(0, 2, 2), Unit(66, 8, 1), Unit(2, 64, 4))
TILE = Tile(256, 74, UNITS, 32, 16, has_min=False, bias=BIAS, scales=tile_scales, part=part)
