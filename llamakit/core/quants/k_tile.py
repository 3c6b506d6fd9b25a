"""The scales that Q4_K and Q5_K tiles share: 12 bytes of 6-bit scales and mins, unpacked for 16 rows at once."""

from __future__ import annotations

from llamakit.core.simd.op import inlined
from llamakit.core.simd.ops import (
    bytes_to_float0,
    bytes_to_float1,
    bytes_to_float2,
    bytes_to_float3,
    view,
)
from llamakit.core.simd.records import f16x16, i32x16


@inlined
def tile_scales(tile, d, m):
    """D = d * scale and M = -dmin * min for each 32 columns: exact, 11 + 6 bits.

    `UNITS` of the types permute the 12 bytes byte by byte: 16 rows' byte 0, 16 rows' byte 1, ...
    """
    step, minimum = view(tile, f16x16)[0], 0.0 - view(tile + 32, f16x16)[0]
    scales = view(tile + 64, i32x16)
    first, second, third = scales[0], scales[1], scales[2]
    four_floats(d, 0, step, first & 0x3F3F3F3F)
    four_floats(d, 4, step, (third & 0x0F0F0F0F) | ((first >> 2) & 0x30303030))
    four_floats(m, 0, minimum, second & 0x3F3F3F3F)
    four_floats(m, 4, minimum, ((third >> 4) & 0x0F0F0F0F) | ((second >> 2) & 0x30303030))


@inlined
def four_floats(out, first, step, values):
    """out[first + k] = step * bytes 16 k .. 16 k + 15 of `values`"""
    out[first] = step * bytes_to_float0(values)
    out[first + 1] = step * bytes_to_float1(values)
    out[first + 2] = step * bytes_to_float2(values)
    out[first + 3] = step * bytes_to_float3(values)
