"""IQ1_M: eight ternary values a point of a grid of 2048, shifted by 1/8 up or down; every 16 have a scale of 3 bits."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.types import GGMLType
from llamakit.core.kernels.pack import Packing
from llamakit.core.kernels.tile import Tile, Unit
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import unpack
from llamakit.core.quants.grid_tile import sixteen, ternary_points
from llamakit.core.quants.grids import find_grid
from llamakit.core.quants.iq1_s import SHIFT
from llamakit.core.quants.neighbours import search_table
from llamakit.core.quants.search.magnitudes import quantize_scales
from llamakit.core.quants.search.points import level_of, low_bytes_of_indices
from llamakit.core.quants.search.splits import split_search
from llamakit.core.quants.search.superblocks import by_importance, by_square
from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import (
    half_to_float,
    less,
    look_up,
    registers,
    select,
    spread,
    to_float,
    view,
)
from llamakit.core.simd.records import f16x16, f32x16, i16, i32, i32x16

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


# low and high bits of 64 columns follow each other
UNITS = (Unit(48, 8, 4), *(unit for p in range(4) for unit in (Unit(8 * p, 8, 4), Unit(32 + 4 * p, 4, 4))))
LEVEL = level_of(8)
FIT = split_search(16, n_shifts=2, flat=1e-7)


def quantizer(weigh: Any) -> Any:
    @helper
    def quantize(blocks, tile):
        """scale = d * (2 integer + 1), d = 1.1125 times the best one for these integers"""
        weights, scales = registers(f32x16, 256), registers(f32x16, 16)
        points, downs, integers = registers(i32x16, 32), registers(i32x16, 32), registers(i32x16, 16)
        weigh(blocks, weights)
        for k in range(16):
            scales[k] = FIT(blocks.x + 16 * k, weights + 16 * k, blocks.table, points + 2 * k, downs + 2 * k)
        d = quantize_scales(scales, 16, 7, integers)
        store_scales(view(tile, i32x16), best_d(blocks.x, weights, points, downs, integers, d) * 1.1125, integers)
        for p in range(4):
            words = view(tile + 128, i32x16) + 3 * p
            words[2] = i32x16(0)
            for b in range(2):
                words[b], high = low_bytes_of_indices(points + 8 * p + 4 * b, 4)
                for k in range(4):
                    high = high | (downs[8 * p + 4 * b + k] << (4 * k + 3))
                words[2] = words[2] | (high << (16 * b))

    return quantize


@helper
def best_d(x, weights, points, downs, integers, d):
    """Of least weighted square error; zero where all is zero, and `d` where nothing has a weight."""
    sum_qx, sum_q2 = f32x16(0.0), f32x16(0.0)
    for k in range(32):
        shift = 0.125 - 0.25 * to_float(downs[k])
        odd = to_float(2 * integers[k // 2] + 1)
        for i in range(8):
            q = (to_float(LEVEL(points[k], i)) - 1.0 + shift) * odd
            weighted = weights[8 * k + i] * q
            sum_qx, sum_q2 = sum_qx + weighted * x[8 * k + i], sum_q2 + weighted * q
    has_best = less(f32x16(0.0), d) & less(f32x16(0.0), sum_q2)
    return select(has_best, sum_qx / sum_q2, d)


@helper
def store_scales(words, d, integers):
    """Two words with eight integers each, and the half float d in four pieces."""
    half, bits = registers(f16x16, 1), registers(i32x16, 1)
    half[0] = d
    for lane in range(16):
        view(bits, i32)[lane] = view(half, i16)[lane]
    for b in range(2):
        word = (((bits[0] >> (8 * b)) & 0xF) << 12) | (((bits[0] >> (8 * b + 4)) & 0xF) << 28)
        for k in range(8):
            word = word | (integers[8 * b + k] << (16 * (k // 4) + 3 * (k % 4)))
        words[b] = word


TABLES = partial(search_table, "iq1")
PACKING = Packing(256, 56, UNITS, quantizer(by_square), tables=TABLES)
WEIGHTED = Packing(256, 56, UNITS, quantizer(by_importance(2)), is_weighted=True, tables=TABLES)
IQ1_M = QuantType(GGMLType.IQ1_M, LAYOUT, dequantize, PACKING, WEIGHTED)


BIAS = 16
points = ternary_points()
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
        points(words[b], spread(words[2], 16 * b, 4, 3, 0), q + 8 * b)
        for k in range(8):
            is_down = spread(words[2], 16 * b + k // 2 * 4 + 3, 0, 1, 2)
            q[8 * b + k] = look_up(q[8 * b + k] | is_down, VALUES_LOW, VALUES_HIGH)


TILE = Tile(256, 56, UNITS, 64, 16, has_min=False, bias=BIAS, scales=tile_scales, part=part)
