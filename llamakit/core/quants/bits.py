"""Small integers packed into bytes, in the one order that every block type uses.

A group of `run` bytes holds `8 / n_bits` runs of `run` values. The first run lies in the lowest bits of the bytes, the
next run above it, and so on: 4 bits in runs of 16 are Q4_0's nibbles, 2 bits in runs of 32 are Q2_K's quants, 1 bit in
runs of 1 is a plain little-endian bit field.
"""

from __future__ import annotations

import numpy as np

from llamakit.core.quants.base import Bytes


def unpack(packed: Bytes, n_bits: int, run: int) -> Bytes:
    """(n_blocks, n_bytes) packed -> (n_blocks, n_bytes * 8 / n_bits) values, each below `2 ** n_bits`."""
    groups = packed.reshape(len(packed), -1, 1, run)
    shifts = np.arange(0, 8, n_bits, dtype=np.uint8)[:, None]
    values = (groups >> shifts) & np.uint8((1 << n_bits) - 1)
    return values.reshape(len(packed), -1)
