"""Q1_0: 128 signs and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.scales import columns, total
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import spread, view
from llamakit.core.simd.records import f16x16, i32x16

LAYOUT = np.dtype([("d", "<f2"), ("qs", "u1", (16,))])  # bit i is value i


def dequantize(blocks: Blocks) -> Floats:
    """x = d where the bit is set, else -d   (n_blocks,) -> (n_blocks, 128)"""
    return column(blocks["d"]) * (unpack(blocks["qs"], n_bits=1, run=1).view(np.int8) * np.int8(2) - np.int8(1))


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """d = mean |x|   (n_rows, n) -> (n_rows * n / 128,)"""
    x = rows.reshape(-1, 128)
    blocks = np.empty(len(x), LAYOUT)
    blocks["d"] = total(columns(np.abs(x), 128)) / 128
    blocks["qs"] = pack((x >= 0).view(np.uint8), n_bits=1, run=1)
    return blocks


Q1_0 = QuantType(GGMLType.Q1_0, LAYOUT, dequantize, quantize)


@inlined
def tile_scales(tile, d, m):
    step = view(tile, f16x16)[0]
    for k in range(4):
        d[k] = step


@inlined
def part(tile, h, q):
    """2 where the bit is set, else 0."""
    word = view(tile + 32, i32x16)[h]
    for k in range(8):
        q[k] = spread(word, 4 * k, 1, 1, 1)


UNITS = (Unit(0, 2, 2), Unit(2, 16, 4))
TILE = Tile(128, 18, UNITS, 32, 32, has_min=False, bias=1, scales=tile_scales, part=part)
