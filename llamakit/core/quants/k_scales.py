"""The 6-bit scales and minimums that Q4_K and Q5_K pack alike: eight of each in twelve bytes.

Bytes 0-3 hold scales 0-3, bytes 4-7 minimums 0-3, each in the low six bits. Bytes 8-11 hold the low nibbles of scales
4-7 (low) and of minimums 4-7 (high); their upper two bits lie in the free bits of bytes 0-3 and 4-7.
"""

from __future__ import annotations

import numpy as np

from llamakit.core.quants.base import Bytes
from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import narrow, view
from llamakit.core.simd.records import i8x16


def unpack_scales(packed: Bytes) -> tuple[Bytes, Bytes]:
    """(n_blocks, 12) -> scales (n_blocks, 8), mins (n_blocks, 8), each below 64."""
    scales, mins, nibbles = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    return (
        np.concatenate([scales & 63, nibbles & 15 | scales >> 6 << 4], axis=1),
        np.concatenate([mins & 63, nibbles >> 4 | mins >> 6 << 4], axis=1),
    )


@inlined
def pack_scales(tile, scales, mins):
    """Inverse of `unpack_scales`: eight scales and eight mins of sixteen blocks to twelve bytes of each."""
    rows = view(tile, i8x16)
    for j in range(4):
        rows[j] = narrow(scales[j] | ((scales[j + 4] >> 4) << 6))
        rows[j + 4] = narrow(mins[j] | ((mins[j + 4] >> 4) << 6))
        rows[j + 8] = narrow((scales[j + 4] & 15) | ((mins[j + 4] & 15) << 4))
