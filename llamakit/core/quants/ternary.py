"""The fit of the ternary types TQ1_0 and TQ2_0."""

from __future__ import annotations

from llamakit.core.quants.search.groups import inverse, largest_magnitude
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import round_half_away, to_int


@helper
def fit_ternary(x, q):
    """x = d * (q - 1) with d the largest magnitude of 256 values, which is returned; leaves q in 0..2."""
    d = largest_magnitude(x, 256)
    scale = inverse(d)
    for i in range(256):
        q[i] = to_int(round_half_away(x[i] * scale) + 1.0) & 3
    return d
