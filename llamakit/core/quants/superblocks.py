"""The fits of the K types: 256 values in sub-blocks, whose scales (and minimums) are themselves small integers.

First every sub-block is fitted alone, then its scale is rounded to an integer times the superblock's `d`, and at last
the values are quantized anew with the scales as stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llamakit.core.quants.base import Bytes, Floats
from llamakit.core.quants.scales import columns, make_qkx, make_qp, nearest, repeat_rows, total

QK_K = 256

Halfs = npt.NDArray[np.float16]
Signed = npt.NDArray[np.int8]


@dataclass(frozen=True)
class RangeFit:
    """x = d * scales * q - dmin * mins.   d, dmin (n_blocks,); scales, mins (n_blocks, n_sub); q (n_blocks, 256)"""

    d: Halfs
    dmin: Halfs
    scales: Bytes
    mins: Bytes
    q: Bytes


def fit_ranges(
    x: Floats,
    weights: Floats,
    *,
    n_max: int,
    n_max_scale: int,
    search: tuple[float, float, int],
    use_mad: bool = False,
    weigh_scales: bool = False,
) -> RangeFit:
    """Sub-blocks with scale and minimum: q in 0..n_max, scales and mins in 0..n_max_scale.

    x, weights: (size of a sub-block, n_blocks * n_sub); search: r_min, r_delta, n_steps of `make_qkx`. With
    `weigh_scales`, the integers of scales and mins are searched too, each sub-block with the sum of its weights;
    otherwise the largest takes n_max_scale.
    """
    n_sub = QK_K // len(x)
    scale, minimum, levels = make_qkx(x, weights, n_max, *search, use_mad=use_mad)
    if weigh_scales:
        sums = columns(total(weights), n_sub)
        d, scales = make_qp(columns(scale, n_sub), sums, n_max_scale)
        dmin, mins = make_qp(columns(minimum, n_sub), sums, n_max_scale)
    else:
        d, scales = round_to_largest(columns(scale, n_sub), n_max_scale)
        dmin, mins = round_to_largest(columns(minimum, n_sub), n_max_scale)
    d16, dmin16 = d.astype(np.float16), dmin.astype(np.float16)
    step = (d16.astype(np.float32) * scales).T.reshape(-1)
    floor = (dmin16.astype(np.float32) * mins).T.reshape(-1)
    levels = np.where(step == 0, levels, nearest((x + floor) / step, 0, n_max))
    return RangeFit(d16, dmin16, scales.T.astype(np.uint8), mins.T.astype(np.uint8), values_of(levels))


def round_to_largest(values: Floats, n_max: int) -> tuple[Floats, Floats]:
    """values = step * integers, the largest of a block n_max; zero for a block without a positive value.

    (n_sub, n_blocks) -> (n_blocks,), (n_sub, n_blocks)
    """
    largest: Floats = values.max(axis=0, initial=0) + np.float32(0)  # never a negative zero
    integers = nearest(np.where(largest > 0, n_max / largest, np.float32(0)) * values, 0, n_max)
    return largest / np.float32(n_max), integers


def fit_steps(x: Floats, levels: Floats, d: Halfs, scales: Signed, n_max: int) -> Bytes:
    """q of x = d * scales * (q - n_max), from 0 up; `levels` stay where d * scales is zero.

    x, levels: (size of a sub-block, n_blocks * n_sub); d (n_blocks,); scales (n_blocks, n_sub) -> (n_blocks, 256)
    """
    step = (d.astype(np.float32)[:, None] * scales).reshape(-1)
    return values_of(np.where(step == 0, levels, nearest(x / step, -n_max, n_max - 1) + np.float32(n_max)))


def importance(x: Floats, imatrix: Floats, factor: int) -> Floats:
    """importance * sqrt(factor * mean square of the superblock + x^2).   x: (size of a sub-block, n_blocks * n_sub)"""
    mean_square = total(columns(x.T * x.T, QK_K)) / np.float32(QK_K)
    size: Floats = np.sqrt(np.repeat(factor * mean_square, QK_K // len(x)) + x * x)
    return repeat_rows(imatrix, *x.shape) * size


def values_of(levels: Floats | Bytes) -> Bytes:
    """Levels of sub-blocks back in the order of the values.   (size, n_blocks * n_sub) -> (n_blocks, 256)"""
    return levels.T.astype(np.uint8, order="C").reshape(-1, QK_K)
