"""XXH64, a fast checksum that no secret depends on: the rounds over whole stripes of 32 bytes.

Source: the xxHash specification. All arithmetic is modulo 2^64, which wrapping int64 gives.
"""

from __future__ import annotations

from llamakit.core.kernels.kernel import kernel
from llamakit.core.simd.op import helper
from llamakit.core.simd.records import Ptr, Record, i64

PRIME_1 = 0x9E3779B185EBCA87 - (1 << 64)  # as int64
PRIME_2 = 0xC2B2AE3D27D4EB4F - (1 << 64)
STRIPE = 32  # bytes: a 64-bit word for each of four lanes


class Stripes(Record):
    """`words` are little-endian and need not be aligned; `lanes` is the state, taken on from call to call."""

    constant = False

    words: Ptr[i64]  # (n_stripes, 4)
    lanes: Ptr[i64]  # (4,)
    n_stripes: i64


@helper
def mix(lane, word):
    """rotate_left(lane + word * PRIME_2, 31) * PRIME_1"""
    lane += word * PRIME_2
    return ((lane << 31) | ((lane >> 33) & 0x7FFFFFFF)) * PRIME_1


@kernel(Stripes)
def stripes(op, thread, n_threads):
    """Mix each word of each stripe into its lane. One thread: every stripe needs the one before."""
    if thread != 0:
        return
    words, lanes = op.words, op.lanes
    a, b, c, d = lanes[0], lanes[1], lanes[2], lanes[3]
    for i in range(op.n_stripes):
        a = mix(a, words[4 * i])
        b = mix(b, words[4 * i + 1])
        c = mix(c, words[4 * i + 2])
        d = mix(d, words[4 * i + 3])
    lanes[0], lanes[1], lanes[2], lanes[3] = a, b, c, d
