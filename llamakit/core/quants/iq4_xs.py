"""IQ4_XS: 256 values as indices into a codebook of sixteen; every 32 have a signed scale of 6 bits."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.iq4 import CODEBOOK, HIGH, LOW, fit_codebook, nearest_codes
from llamakit.core.quants.scales import columns, divide, nearest, peak
from llamakit.core.quants.superblocks import importance, values_of
from llamakit.core.quants.tile_parts import high_nibbles, low_nibbles
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import half_to_float, look_up, to_float, view
from llamakit.core.simd.records import i32x16

LAYOUT = np.dtype(
    [
        ("d", "<f2"),
        ("scales_h", "u1", (2,)),  # bits 4-5 of the eight scales
        ("scales_l", "u1", (4,)),  # bits 0-3
        ("qs", "u1", (128,)),  # 16 bytes hold a sub-block of 32, nibbles as in Q4_0
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (scale - 32) * codebook[q]   (n_blocks,) -> (n_blocks, 256)"""
    values = CODEBOOK[unpack(blocks["qs"], n_bits=4, run=16)].reshape(-1, 8, 32)
    scales = unpack(blocks["scales_l"], n_bits=4, run=1) | unpack(blocks["scales_h"], n_bits=2, run=1) << 4
    step: Floats = column(blocks["d"]) * (scales.view(np.int8) - np.int8(32))
    return (step[:, :, None] * values).reshape(-1, 256)


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 256,)"""
    x = columns(rows, 32)
    weights = x * x if imatrix is None else importance(x, imatrix, factor=2)
    scale = columns(fit_codebook(x, weights), 8)
    d = peak(scale) / np.float32(-32)
    scales = nearest(divide(1, d) * scale, -32, 31)
    step = (d * scales).T.reshape(-1)
    q = values_of(nearest_codes(divide(1, step) * x))
    blocks = np.empty(len(d), LAYOUT)
    blocks["d"] = d
    biased = (scales.T + np.float32(32)).astype(np.uint8)
    blocks["scales_l"] = pack(biased & 15, n_bits=4, run=1)
    blocks["scales_h"] = pack(biased >> 4, n_bits=2, run=1)
    blocks["qs"] = pack(q, n_bits=4, run=16)
    return blocks


IQ4_XS = QuantType(GGMLType.IQ4_XS, LAYOUT, dequantize, quantize)


@inlined
def tile_scales(tile, d, m):
    """D = d * (scale - 32) for each 32 columns; M is not used."""
    words = view(tile, i32x16)
    first, low = words[0], words[1]  # the first has d in its lower half, scales_h in its upper one
    step = half_to_float(first)
    for k in range(8):
        scale = ((low >> (4 * k)) & 15) | ((first >> (16 + 2 * k) << 4) & 0x30)
        d[k] = step * to_float(scale - 32)


@inlined
def part(tile, h, q):
    words = view(tile + 128, i32x16) + h * 8
    for b in range(2):
        for c in range(4):
            q[8 * b + c] = look_up(low_nibbles(words[4 * b + c]), LOW, HIGH)
            q[8 * b + c + 4] = look_up(high_nibbles(words[4 * b + c]), LOW, HIGH)


UNITS = (Unit(0, 4, 4), Unit(4, 4, 4), Unit(8, 128, 4))
TILE = Tile(256, 136, UNITS, 64, 32, has_min=False, bias=128, scales=tile_scales, part=part)
