"""IQ4_NL: 32 values as indices into a codebook of sixteen, and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Floats, QuantType, column
from llamakit.core.quants.bits import pack, unpack
from llamakit.core.quants.iq4 import CODEBOOK, fit_codebook, nearest_codes
from llamakit.core.quants.scales import columns, divide, repeat_rows, total

LAYOUT = np.dtype([("d", "<f2"), ("qs", "u1", (16,))])  # nibbles as in Q4_0


def dequantize(blocks: Blocks) -> Floats:
    """x = d * codebook[q]   (n_blocks,) -> (n_blocks, 32)"""
    return column(blocks["d"]) * CODEBOOK[unpack(blocks["qs"], n_bits=4, run=16)]


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 32,)"""
    x = columns(rows, 32)
    squares = x * x
    if imatrix is None:
        weights = squares
    else:
        weights = repeat_rows(imatrix, *x.shape) * np.sqrt(total(squares) * np.float32(2 / 32) + squares)
    d = fit_codebook(x, weights)
    blocks = np.empty(len(d), LAYOUT)
    blocks["d"] = d
    blocks["qs"] = pack(nearest_codes(divide(1, d) * x).T, n_bits=4, run=16)
    return blocks


IQ4_NL = QuantType(GGMLType.IQ4_NL, LAYOUT, dequantize, quantize)
