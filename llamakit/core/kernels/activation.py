"""Element-wise functions on vectors."""

from __future__ import annotations

from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import as_float, as_int, fma, less, select, vabs
from llamakit.core.simd.records import f32x16

ROUND = 12582912.0  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits


@helper
def exp(x):
    """e^x to 2 ulp: 2^n * p(r) with x = n ln 2 + r; exactly 0 below -87, e^88 above 88."""
    x = select(less(f32x16(88.0), x), f32x16(88.0), x)  # NaN stays NaN
    shifted = fma(x, f32x16(1.44269504), f32x16(ROUND))
    n = shifted - f32x16(ROUND)
    r = fma(n, f32x16(2.12194440e-4), fma(n, f32x16(-0.693359375), x))
    p = f32x16(1.9875691500e-4)
    p = fma(p, r, f32x16(1.3981999507e-3))
    p = fma(p, r, f32x16(8.3334519073e-3))
    p = fma(p, r, f32x16(4.1665795894e-2))
    p = fma(p, r, f32x16(1.6666665459e-1))
    p = fma(p, r, f32x16(5.0000001201e-1))
    p = fma(p, r * r, r) + 1.0
    return select(less(x, f32x16(-87.0)), f32x16(0.0), as_float(as_int(p) + (as_int(shifted) << 23)))


@helper
def tanh(x):
    """1 - 2 / (1 + e^2x); absolute error below 2e-7."""
    return 1.0 - 2.0 / (exp(x + x) + 1.0)


@helper
def silu(x):
    """x / (1 + e^-x)"""
    return x / (exp(f32x16(0.0) - x) + 1.0)


@helper
def gelu_tanh(x):
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))"""
    inner = fma(x * x * x, f32x16(0.044715), x) * 0.79788456
    return x * 0.5 * (tanh(inner) + 1.0)


@helper
def gelu_erf(x):
    """x Phi(x), Phi the normal distribution, relative error below 2e-6 (Numerical Recipes, erfcc).

    erfc(z) = t exp(-z^2 + p(t)) with t = 1 / (1 + z / 2), p of degree 9, for z = |x| / sqrt(2).
    """
    z = vabs(x) * 0.70710678
    t = 1.0 / (z * 0.5 + 1.0)
    p = f32x16(0.17087277)
    p = fma(p, t, f32x16(-0.82215223))
    p = fma(p, t, f32x16(1.48851587))
    p = fma(p, t, f32x16(-1.13520398))
    p = fma(p, t, f32x16(0.27886807))
    p = fma(p, t, f32x16(-0.18628806))
    p = fma(p, t, f32x16(0.09678418))
    p = fma(p, t, f32x16(0.37409196))
    p = fma(p, t, f32x16(1.00002368))
    p = fma(p, t, f32x16(-1.26551223))
    tail = t * exp(p - z * z) * 0.5
    return x * select(less(x, f32x16(0.0)), tail, 1.0 - tail)


@helper
def gelu_quick(x):
    """x / (1 + e^(-1.702 x))"""
    return x / (exp(x * -1.702) + 1.0)


@helper
def sigmoid(x):
    """1 / (1 + e^-x)"""
    return 1.0 / (exp(f32x16(0.0) - x) + 1.0)


@helper
def log1p_of_share(t):
    """ln(1 + t) for t from 0 to 1: 2 atanh(t / (2 + t)) by its series, to 2 ulp."""
    z = t / (t + 2.0)
    q = z * z
    p = f32x16(1.0 / 17.0)
    p = fma(p, q, f32x16(1.0 / 15.0))
    p = fma(p, q, f32x16(1.0 / 13.0))
    p = fma(p, q, f32x16(1.0 / 11.0))
    p = fma(p, q, f32x16(1.0 / 9.0))
    p = fma(p, q, f32x16(1.0 / 7.0))
    p = fma(p, q, f32x16(1.0 / 5.0))
    p = fma(p, q, f32x16(1.0 / 3.0))
    p = fma(p, q, f32x16(1.0))
    return z * 2.0 * p


@helper
def softplus(x):
    """ln(1 + e^x)"""
    zero = f32x16(0.0)
    return select(less(x, zero), zero, x) + log1p_of_share(exp(zero - vabs(x)))


@helper
def relu(x):
    """max(x, 0); NaN stays NaN"""
    return select(less(x, f32x16(0.0)), f32x16(0.0), x)


@helper
def relu6(x):
    """x within 0 .. 6"""
    return at_most(relu(x), 6.0)


@helper
def hard_swish(x):
    """x * relu6(x + 3) / 6"""
    return x * relu6(x + 3.0) * (1.0 / 6.0)


@helper
def leaky_relu(x):
    """x above 0, a hundredth of it below"""
    return select(less(x, f32x16(0.0)), x * 0.01, x)


@helper
def mish(x):
    """x tanh(ln(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2)"""
    e = exp(at_most(x, 20.0))
    n = e * (e + 2.0)
    return x * (n / (n + 2.0))


@helper
def at_most(x, limit):
    """min(x, limit); NaN stays NaN"""
    return select(less(f32x16(limit), x), f32x16(limit), x)


@helper
def within(x, limit):
    """x within -limit .. limit; NaN stays NaN"""
    return select(less(x, f32x16(-limit)), f32x16(-limit), at_most(x, limit))
