"""TQ2_0: 256 values of -1, 0 or 1 in 2 bits each, and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.ternary import fit_ternary

LAYOUT = np.dtype([("qs", "u1", (64,)), ("d", "<f2")])  # bits as in Q2_K


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (q - 1)   (n_blocks,) -> (n_blocks, 256)"""
    return column(blocks["d"]) * (unpack(blocks["qs"], n_bits=2, run=32).view(np.int8) - np.int8(1))


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 256,)"""
    d, q = fit_ternary(rows)
    blocks = np.empty(len(d), LAYOUT)
    blocks["qs"] = pack(q, n_bits=2, run=32)
    blocks["d"] = d
    return blocks


TQ2_0 = QuantType(GGMLType.TQ2_0, LAYOUT, dequantize, quantize)
