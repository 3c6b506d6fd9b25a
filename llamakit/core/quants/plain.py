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


def widen_bf16(blocks: Blocks) -> Floats:
    """x with sixteen zero bits below.   (n,) -> (n, 1)"""
    return (blocks["x"].astype(np.uint32) << 16).view(np.float32)[:, None]


F32 = QuantType(GGMLType.F32, F32_LAYOUT, widen)
F16 = QuantType(GGMLType.F16, F16_LAYOUT, widen)
BF16 = QuantType(GGMLType.BF16, BF16_LAYOUT, widen_bf16)
