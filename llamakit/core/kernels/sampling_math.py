"""Logarithm and power of single numbers in double precision, for the stages that reckon with entropies."""

from __future__ import annotations

from llamakit.core.simd.op import helper

LN_2 = 0.6931471805599453


@helper
def ln(x):
    """ln x = e ln 2 + 2 artanh((m - 1) / (m + 1)) with x = m 2^e, 0.7 < m < 1.42; 0 where there is no logarithm"""
    if not 0.0 < x < 1e308:
        return 0.0
    e = 0
    while x > 1.4142135623730951:
        x *= 0.5
        e += 1
    while x < 0.7071067811865476:
        x *= 2.0
        e -= 1
    t = (x - 1.0) / (x + 1.0)
    total, term = 0.0, 2.0 * t
    for k in range(1, 24, 2):
        total += term / k
        term *= t * t
    return total + e * LN_2


@helper
def power_of_e(x):
    """e^x = 2^n e^r with x = n ln 2 + r; 0 below -700, e^700 above 700"""
    if not x > -700.0:
        return 0.0
    x = min(x, 700.0)
    n = int(x * 1.4426950408889634)
    r = x - n * LN_2
    total, term = 1.0, 1.0
    for k in range(1, 20):
        term *= r / k
        total += term
    for _ in range(abs(n)):
        total *= 2.0 if n > 0 else 0.5
    return total
