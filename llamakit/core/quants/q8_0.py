"""Q8_0: 32 values of 8 bits and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.scales import divide, round_half_away
from llamakit.core.quants.tile_parts import scale
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import view
from llamakit.core.simd.records import i32x16

LAYOUT = np.dtype([("d", "<f2"), ("qs", "i1", (32,))])


def dequantize(blocks: Blocks) -> Floats:
    """x = d * q   (n_blocks,) -> (n_blocks, 32)"""
    x: Floats = column(blocks["d"]) * blocks["qs"]
    return x


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """d = max |x| / 127, q = x / d to nearest, halves away from zero.   (n_rows, n) -> (n_rows * n / 32,)"""
    x = rows.reshape(-1, 32)
    largest: Floats = np.abs(x).max(axis=1)
    d = largest / np.float32(127)
    blocks = np.empty(len(x), LAYOUT)
    blocks["d"] = d
    blocks["qs"] = round_half_away(x * divide(1, d)[:, None])
    return blocks


Q8_0 = QuantType(GGMLType.Q8_0, LAYOUT, dequantize, quantize)


@inlined
def part(tile, h, q):
    words = view(tile + 32, i32x16)
    for c in range(8):
        q[c] = words[c] ^ -0x7F7F7F80  # 0x80 in each byte: q + 128


TILE = Tile(32, 34, (Unit(0, 2, 2), Unit(2, 32, 4)), 32, 32, has_min=False, bias=128, scales=scale, part=part)
