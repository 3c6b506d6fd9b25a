"""What every search begins with: extremes, sums and sizes of groups of values.

x is a pointer to n vectors, value i of sixteen groups each. Sums run from the first value to the last, as ggml's do.
"""

from __future__ import annotations

from llamakit.core.simd.op import helper, inlined
from llamakit.core.simd.ops import less, select, vabs
from llamakit.core.simd.records import f32x16

FLAT = 1e-15  # a group whose largest magnitude is below this is stored as zeros


@helper
def smallest(x, n):
    """Of two zeros the first, with its sign."""
    low = x[0]
    for i in range(1, n):
        low = select(less(x[i], low), x[i], low)
    return low


@helper
def largest(x, n):
    high = x[0]
    for i in range(1, n):
        high = select(less(high, x[i]), x[i], high)
    return high


@helper
def largest_magnitude(x, n):
    high = f32x16(0.0)
    for i in range(n):
        size = vabs(x[i])
        high = select(less(high, size), size, high)
    return high


@helper
def peak(x, n):
    """The value of largest magnitude, signed; the first of equals."""
    high, top = f32x16(0.0), f32x16(0.0)
    for i in range(n):
        size = vabs(x[i])
        is_larger = less(high, size)
        high, top = select(is_larger, size, high), select(is_larger, x[i], top)
    return top


@helper
def total(x, n):
    result = f32x16(0.0)
    for i in range(n):
        result = result + x[i]
    return result


@helper
def total_square(x, n):
    result = f32x16(0.0)
    for i in range(n):
        result = result + x[i] * x[i]
    return result


@inlined
def inverse(d):
    """1 / d, and zero where d is zero."""
    return select(less(f32x16(0.0), vabs(d)), 1.0 / d, f32x16(0.0))
