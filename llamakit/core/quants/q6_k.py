"""Q6_K: 256 values of 6 bits; every 16 have a signed scale of 8 bits."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.scales import FLAT, columns, make_qx, nearest, peak, repeat_rows
from llamakit.core.quants.superblocks import fit_steps
from llamakit.core.quants.tile_parts import high_nibbles, low_nibbles
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import to_float, view, widen
from llamakit.core.simd.records import f16x16, i8x16, i32x16

LAYOUT = np.dtype(
    [
        ("ql", "u1", (128,)),  # 64 bytes hold the low four bits of 128 values: low nibbles first
        ("qh", "u1", (64,)),  # 32 bytes hold the high two bits of 128 values, in runs of 32
        ("scales", "i1", (16,)),
        ("d", "<f2"),
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * scale * (q - 32)   (n_blocks,) -> (n_blocks, 256)"""
    q = unpack(blocks["ql"], n_bits=4, run=64) | unpack(blocks["qh"], n_bits=2, run=32) << 4
    step: Floats = column(blocks["d"]) * blocks["scales"]
    return (step[:, :, None] * (q.view(np.int8) - np.int8(32)).reshape(-1, 16, 16)).reshape(-1, 256)


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 256,)"""
    x = columns(rows, 16)
    weights = x * x if imatrix is None else repeat_rows(imatrix, *x.shape)
    scale, levels = make_qx(x, weights, n_max=32)
    scale = columns(scale, 16)
    top = peak(scale)
    inverse = np.float32(-128) / top
    blocks = np.empty(len(top), LAYOUT)
    blocks["d"] = 1 / inverse
    blocks["scales"] = nearest(inverse * scale, -128, 127).T
    q = fit_steps(x, levels, blocks["d"], blocks["scales"], n_max=32)
    blocks["ql"] = pack(q & 15, n_bits=4, run=64)
    blocks["qh"] = pack(q >> 4, n_bits=2, run=32)
    blocks[np.abs(top) < FLAT] = 0
    return blocks


Q6_K = QuantType(GGMLType.Q6_K, LAYOUT, dequantize, quantize)


@inlined
def tile_scales(tile, d, m):
    """D = d * scale for each 16 columns; M is not used."""
    step = view(tile, f16x16)[0]
    scales = view(tile + 32, i8x16)
    for s in range(16):
        d[s] = step * to_float(widen(scales[s]))


@inlined
def part(tile, h, q):
    words = view(tile + 288, i32x16) + h * 24
    for u in range(8):
        first, second, high = words[3 * u], words[3 * u + 1], words[3 * u + 2]
        q[u] = low_nibbles(first) | ((high << 4) & 0x30303030)
        q[u + 8] = low_nibbles(second) | ((high << 2) & 0x30303030)
        q[u + 16] = high_nibbles(first) | (high & 0x30303030)
        q[u + 24] = high_nibbles(second) | ((high >> 2) & 0x30303030)


# a part reads its low and high bits from three places of the block: here they follow each other
UNITS = (
    Unit(208, 2, 2),
    Unit(192, 16, 1),
    *(
        Unit(o, 4, 4)
        for h in (0, 1)
        for u in range(8)
        for o in (64 * h + 4 * u, 64 * h + 32 + 4 * u, 128 + 32 * h + 4 * u)
    ),
)
TILE = Tile(256, 210, UNITS, 128, 16, has_min=False, bias=32, scales=tile_scales, part=part)
