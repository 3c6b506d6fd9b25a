"""Q3_K: 256 values of 3 bits; every 16 have a signed scale of 6 bits."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.scales import columns, make_q3, make_qx, nearest, peak, total
from llamakit.core.quants.superblocks import fit_steps, importance
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import to_float, view, widen
from llamakit.core.simd.records import f16x16, i8x16, i32x16

LAYOUT = np.dtype(
    [
        ("hmask", "u1", (32,)),  # bit i // 32 of byte i % 32 is the high bit of value i
        ("qs", "u1", (64,)),  # low two bits, as in Q2_K
        ("scales", "u1", (12,)),  # 8 bytes of low nibbles (scales 0-7, then 8-15), 4 bytes of high bit pairs
        ("d", "<f2"),
    ]
)


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (scale - 32) * (q - 4)   (n_blocks,) -> (n_blocks, 256)"""
    q = unpack(blocks["qs"], n_bits=2, run=32) | unpack(blocks["hmask"], n_bits=1, run=32) << 2
    low = unpack(blocks["scales"][:, :8], n_bits=4, run=8)
    high = unpack(blocks["scales"][:, 8:], n_bits=2, run=4)
    scale = (low | high << 4).view(np.int8) - np.int8(32)
    step: Floats = column(blocks["d"]) * scale
    return (step[:, :, None] * (q.view(np.int8) - np.int8(4)).reshape(-1, 16, 16)).reshape(-1, 256)


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 256,)"""
    x = columns(rows, 16)
    if imatrix is None:
        scale, levels = make_q3(x, n_max=4)
        d, scales = round_to_peak(columns(scale, 16))
    else:
        weights = importance(x, imatrix, factor=2)
        scale, levels = make_qx(x, weights, n_max=4)
        d, scales = make_qx(columns(scale, 16), columns(total(weights), 16), n_max=32)
    blocks = np.empty(len(d), LAYOUT)
    blocks["d"] = d
    sc = scales.T.astype(np.uint8)
    q = fit_steps(x, levels, blocks["d"], sc.view(np.int8) - np.int8(32), n_max=4)
    blocks["hmask"] = pack(q >> 2, n_bits=1, run=32)
    blocks["qs"] = pack(q & 3, n_bits=2, run=32)
    blocks["scales"][:, :8] = pack(sc & 15, n_bits=4, run=8)
    blocks["scales"][:, 8:] = pack(sc >> 4, n_bits=2, run=4)
    return blocks


def round_to_peak(scale: Floats) -> tuple[Floats, Floats]:
    """scale = d * (scales - 32), the one of largest magnitude at -32; zero for a block of zeros.

    (16, n_blocks) -> d (n_blocks,), scales (16, n_blocks) in 0..63
    """
    top = peak(scale)
    inverse = np.float32(-32) / top
    scales = nearest(inverse * scale, -32, 31) + np.float32(32)
    return np.where(top == 0, np.float32(0), np.float32(1) / inverse), np.where(top == 0, np.float32(0), scales)


Q3_K = QuantType(GGMLType.Q3_K, LAYOUT, dequantize, quantize)


@inlined
def tile_scales(tile, d, m):
    """D = d * (scale - 32) for each 16 columns: four low bits in one byte, two high bits in another."""
    step = view(tile, f16x16)[0]
    scales = view(tile + 32, i8x16)
    for s in range(16):
        low = (widen(scales[s % 8]) >> (4 * (s // 8))) & 15
        high = (widen(scales[8 + s % 4]) >> (2 * (s // 4))) & 3
        d[s] = step * to_float((low | (high << 4)) - 32)


@inlined
def part(tile, h, q):
    high = view(tile + 224, i32x16)
    words = view(tile + 736, i32x16) + h * 8
    for u in range(8):
        for k in range(4):
            bit = (high[u] >> (4 * h + k)) & 0x01010101
            q[8 * k + u] = ((words[u] >> (2 * k)) & 0x03030303) | (bit << 2)


UNITS = (Unit(108, 2, 2), Unit(96, 12, 1), Unit(0, 32, 4), Unit(32, 64, 4))
TILE = Tile(256, 110, UNITS, 128, 16, has_min=False, bias=4, scales=tile_scales, part=part)
