"""Q4_K: 256 values of 4 bits; every 32 have a scale and a minimum of 6 bits."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.k_scales import pack_scales, unpack_scales
from llamakit.core.quants.k_tile import tile_scales
from llamakit.core.quants.scales import columns, total
from llamakit.core.quants.superblocks import fit_ranges, importance
from llamakit.core.quants.tile_parts import high_nibbles, low_nibbles
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import view
from llamakit.core.simd.records import i32x16

LAYOUT = np.dtype(
    [
        ("d", "<f2"),
        ("dmin", "<f2"),
        ("scales", "u1", (12,)),  # eight scales and eight minimums of 6 bits, see k_scales.py
        ("qs", "u1", (128,)),  # 32 bytes hold 64 values: low nibbles the first 32, high nibbles the second
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * scale * q - dmin * min   (n_blocks,) -> (n_blocks, 256)"""
    q = unpack(blocks["qs"], n_bits=4, run=32).reshape(-1, 8, 32)
    scales, mins = unpack_scales(blocks["scales"])
    step: Floats = column(blocks["d"]) * scales
    minimum: Floats = column(blocks["dmin"]) * mins
    return (step[:, :, None] * q - minimum[:, :, None]).reshape(-1, 256)


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 256,)"""
    x = columns(rows, 32)
    if imatrix is None:
        weights = np.sqrt(total(x * x) / 32) + np.abs(x)
        fit = fit_ranges(x, weights, n_max=15, n_max_scale=63, search=(-1.0, 0.1, 20))
    else:
        weights = importance(x, imatrix, factor=2)
        fit = fit_ranges(x, weights, n_max=15, n_max_scale=63, search=(-0.9, 0.05, 36), weigh_scales=True)
    blocks = np.empty(len(fit.q), LAYOUT)
    blocks["d"] = fit.d
    blocks["dmin"] = fit.dmin
    blocks["scales"] = pack_scales(fit.scales, fit.mins)
    blocks["qs"] = pack(fit.q, n_bits=4, run=32)
    return blocks


Q4_K = QuantType(GGMLType.Q4_K, LAYOUT, dequantize, quantize)


@inlined
def part(tile, h, q):
    words = view(tile + 256, i32x16) + h * 8
    for k in range(8):
        q[k], q[k + 8] = low_nibbles(words[k]), high_nibbles(words[k])


UNITS = (Unit(0, 2, 2), Unit(2, 2, 2), Unit(4, 12, 1), Unit(16, 128, 4))
TILE = Tile(256, 144, UNITS, 64, 32, has_min=True, bias=0, scales=tile_scales, part=part)
