"""F32, F16, BF16: one value is one block, and there is nothing to search."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType

F32_LAYOUT = np.dtype([("x", "<f4")])
F16_LAYOUT = np.dtype([("x", "<f2")])
BF16_LAYOUT = np.dtype([("x", "<u2")])  # the upper half of a float32


def widen(blocks: Blocks) -> Floats:
    """x as it is stored.   (n,) F32 or F16 -> (n, 1)"""
    return blocks["x"].astype(np.float32)[:, None]


def store_f32(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n,)"""
    return rows.reshape(-1).view(F32_LAYOUT)


def round_f16(rows: Floats, imatrix: Floats | None) -> Blocks:
    """Nearest half, ties to even; what is too large becomes infinite.   (n_rows, n) -> (n_rows * n,)"""
    return rows.reshape(-1).astype("<f2").view(F16_LAYOUT)


def widen_bf16(blocks: Blocks) -> Floats:
    """x with sixteen zero bits below.   (n,) -> (n, 1)"""
    return (blocks["x"].astype(np.uint32) << 16).view(np.float32)[:, None]


def round_bf16(rows: Floats, imatrix: Floats | None) -> Blocks:
    """Nearest, ties to even; a NaN stays one, and quiet.   (n_rows, n) -> (n_rows * n,)"""
    bits = rows.reshape(-1).view(np.uint32)
    to_nearest = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    quiet = (bits >> 16) | 0x40
    return np.where(np.isnan(rows.reshape(-1)), quiet, to_nearest).astype("<u2").view(BF16_LAYOUT)


F32 = QuantType(GGMLType.F32, F32_LAYOUT, widen, store_f32)
F16 = QuantType(GGMLType.F16, F16_LAYOUT, widen, round_f16)
BF16 = QuantType(GGMLType.BF16, BF16_LAYOUT, widen_bf16, round_bf16)
