"""TQ1_0: 256 values of -1, 0 or 1, five to a byte, and one scale."""

from __future__ import annotations

import numpy as np

from llamakit.core.gguf.types import GGMLType
from llamakit.core.quants.base import Blocks, Bytes, Floats, QuantType, column
from llamakit.core.quants.ternary import fit_ternary

LAYOUT = np.dtype(
    [
        ("qs", "u1", (48,)),  # digit n of bytes 0-31 is value 32 n + byte; of bytes 32-47, value 160 + 16 n + byte
        ("qh", "u1", (4,)),  # four digits: digit n is value 240 + 4 n + byte
        ("d", "<f2"),
    ]
)

# A byte is the fraction 0.abcde to base 3 in units of 1 / 256, rounded up: the first digit is the carry of 3 * byte.
DIGITS = 5


def unpack_digits(packed: Bytes, n_digits: int) -> Bytes:
    """(n_blocks, n_bytes) -> (n_blocks, n_digits * n_bytes), all first digits, then all second ones, ..."""
    powers = np.array([3**n for n in range(n_digits)], np.uint8)[:, None]
    fraction = (packed[:, None, :] * powers).astype(np.uint16)
    return (fraction * np.uint16(3) >> 8).astype(np.uint8).reshape(len(packed), -1)


def pack_digits(digits: Bytes, n_digits: int) -> Bytes:
    """Inverse of `unpack_digits`; digits that a byte has no value for are zero."""
    weights = np.array([3 ** (DIGITS - 1 - n) for n in range(n_digits)], np.uint16)[:, None]
    number = (digits.reshape(len(digits), n_digits, -1) * weights).sum(axis=1, dtype=np.uint32)
    packed: Bytes = ((number * 256 + 3**DIGITS - 1) // 3**DIGITS).astype(np.uint8)
    return packed


def dequantize(blocks: Blocks) -> Floats:
    """x = d * (digit - 1)   (n_blocks,) -> (n_blocks, 256)"""
    parts = [
        unpack_digits(blocks["qs"][:, :32], n_digits=5),
        unpack_digits(blocks["qs"][:, 32:], n_digits=5),
        unpack_digits(blocks["qh"], n_digits=4),
    ]
    return column(blocks["d"]) * (np.concatenate(parts, axis=1).view(np.int8) - np.int8(1))


def quantize(rows: Floats, imatrix: Floats | None) -> Blocks:
    """(n_rows, n) -> (n_rows * n / 256,)"""
    d, q = fit_ternary(rows)
    blocks = np.empty(len(d), LAYOUT)
    blocks["qs"][:, :32] = pack_digits(q[:, :160], n_digits=5)
    blocks["qs"][:, 32:] = pack_digits(q[:, 160:240], n_digits=5)
    blocks["qh"] = pack_digits(q[:, 240:], n_digits=4)
    blocks["d"] = d
    return blocks


TQ1_0 = QuantType(GGMLType.TQ1_0, LAYOUT, dequantize, quantize)
