"""IQ2_S: eight values a point of a grid of 1024, and a sign each; every 16 have a scale of 4 bits."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.grid_tile import points_of_8, scales_by_16
from llamakit.core.quants.grids import find_grid, scaled, signs_of
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import spread, view, widen
from llamakit.core.simd.records import f16x16, i8x16, i32x16
from llamakit.errors import UsageError

LAYOUT = np.dtype(
    [
        ("d", "<f2"),
        ("qs", "u1", (32,)),  # bits 0-7 of the indices into the grid
        ("signs", "u1", (32,)),
        ("qh", "u1", (8,)),  # bits 8-9 of the indices, four a byte
        ("scales", "u1", (8,)),  # low nibble the first 16 values of 32, high nibble the rest
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (scale + 1/2) / 4 * sign * grid   (n_blocks,) -> (n_blocks, 256)"""
    index = blocks["qs"] | unpack(blocks["qh"], n_bits=2, run=1).astype(np.uint16) << 8
    values = find_grid("iq2_s").values[index].reshape(-1, 256)
    scales = unpack(blocks["scales"], n_bits=4, run=1) + np.float32(0.5)
    return scaled(column(blocks["d"]) * scales * np.float32(0.25), values * signs_of(blocks["signs"]))


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 256,)"""
    raise UsageError("IQ2_S can be read only, so far")


IQ2_S = QuantType(GGMLType.IQ2_S, LAYOUT, dequantize, quantize)


BIAS = 64
GROUP = 16 * 9  # bytes of a tile for 32 columns: low bits of the indices, signs, high bits
points = points_of_8("iq2_s", BIAS)


@inlined
def tile_scales(tile, d, m):
    """D = d / 4 * (scale + 1/2) for each 16 columns; M is not used."""
    scales_by_16(view(tile, f16x16)[0] * 0.25, view(tile + 32, i32x16), d)


@inlined
def part(tile, h, q):
    group = tile + 160 + h * GROUP
    words, high = view(group, i32x16), widen(view(group + 128, i8x16)[0])
    points(words[0], spread(high, 0, 2, 2, 0), words[1], False, q)


UNITS = (
    Unit(0, 2, 2),
    Unit(74, 8, 1),
    *(unit for g in range(8) for unit in (Unit(2 + 4 * g, 4, 4), Unit(34 + 4 * g, 4, 4), Unit(66 + g, 1, 1))),
)
TILE = Tile(256, 82, UNITS, 32, 16, has_min=False, bias=BIAS, scales=tile_scales, part=part)
