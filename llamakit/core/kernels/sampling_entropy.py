"""Stages of the sampler that steer by entropy or surprise: dynamic temperature, mirostat 1 and 2."""

from __future__ import annotations

from llamakit.core.kernels.candidates import (
    LOWEST,
    Candidates,
    Noise,
    choose,
    count_blocks,
    end_at,
    largest,
    safe_shift,
    uniform,
    weigh,
)
from llamakit.core.kernels.kernel import kernel
from llamakit.core.kernels.sampling_math import LN_2, ln, power_of_e
from llamakit.core.kernels.sampling_sort import collect, keep, sort, sort_all
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import view
from llamakit.core.simd.records import Ptr, Record, f32, f32x16


class DynamicTemperature(Record):
    candidates: Ptr[Candidates]
    lowest: f32
    highest: f32
    exponent: f32
    smallest: f32  # the least temperature to divide by


@kernel(DynamicTemperature)
def dynamic_temperature(op, thread, n_threads):
    """l = l / t with t = lowest + (highest - lowest) (H / ln n)^exponent.   H = sum of -p ln p"""
    c = op.candidates
    sort_all(c)
    if c.n <= 1:
        return
    total, weighted = weigh(c), 0.0
    top = c.logits[0]
    for i in range(c.n):
        if c.weights[i] > 0:
            weighted += float(c.weights[i]) * (float(top) - float(c.logits[i]))
    share = max(0.0, (ln(total) + weighted / total) / ln(float(c.n)))
    power = power_of_e(op.exponent * ln(share)) if share > 0 else (1.0 if op.exponent == 0 else 0.0)
    t = op.lowest + (op.highest - op.lowest) * power
    if t <= 0:
        end_at(c, 1)
        return
    x, t = view(c.logits, f32x16), max(f32(t), op.smallest)
    shift = f32x16(safe_shift(top, t))
    for i in range(4 * count_blocks(c.n)):
        x[i] = (x[i] - shift) / t


class Mirostat(Record):
    constant = False
    candidates: Ptr[Candidates]
    noise: Ptr[Noise]
    tau: f32
    eta: f32
    mu: f32  # the most surprise a token may have, in bits: learned from token to token


@kernel(Mirostat)
def mirostat(op, thread, n_threads):
    """Draw from the k likeliest, k = (e 2^mu / (1 - N^-e))^(1 / s), e = s - 1;  mu -= eta (-log2 p - tau).

    s: see `slope`.   N: the vocabulary's size
    """
    c = op.candidates
    sort_all(c)
    drop_banned(c)
    s = slope(c)
    e, n_vocab = s - 1.0, ln(float(c.n_vocab))
    power = power_of_e(op.mu * LN_2)
    ratio = power / n_vocab if abs(e) < 1e-9 else e * power / (1.0 - power_of_e(-e * n_vocab))
    log_k = ln(min(max(ratio, 1e-300), 1e300))  # times s
    if c.n > 1 and log_k < s * ln(float(c.n)):
        end_at(c, max(1, int(power_of_e(log_k / s))) if s > 0 else 1)
    draw_and_learn(op, c)


@helper
def drop_banned(c):
    """Those of -inf, which are the last, are no candidates any more."""
    n = c.n
    while n > 0 and c.logits[n - 1] < LOWEST:
        n -= 1
    end_at(c, n)


@helper
def slope(c):
    """Of ln p over ln rank, from the 100 likeliest; 1 for a single one.

    sum of t b / sum of t^2 with b = ln(p_i / p_(i+1)), t = ln((i + 2) / (i + 1))
    """
    if c.n < 2:
        return 1.0
    total, squares = 0.0, 0.0
    for i in range(min(c.n, 100) - 1):
        t = ln((i + 2.0) / (i + 1.0))
        total += t * (float(c.logits[i]) - float(c.logits[i + 1]))
        squares += t * t
    return total / squares


class Mirostat2(Record):
    constant = False
    candidates: Ptr[Candidates]
    noise: Ptr[Noise]
    tau: f32
    eta: f32
    mu: f32


@kernel(Mirostat2)
def mirostat_2(op, thread, n_threads):
    """Draw from those with -log2 p <= mu, the likeliest in any case;  mu -= eta (-log2 p - tau)"""
    c = op.candidates
    top = largest(c)
    floor = top + f32(ln(weigh(c)) - op.mu * LN_2)
    n = collect(c, min(floor, top))
    sort(c.keys, c.spare_keys, n)
    keep(c, n, 1)
    if floor > top:
        end_at(c, min(c.n, 1))
    draw_and_learn(op, c)


@helper
def draw_and_learn(op, c):
    """Draw as std::discrete_distribution does: with one candidate there is nothing to draw."""
    total = weigh(c)
    place = choose(c, uniform(op.noise) * total if c.n > 1 else 0.0)
    c.chosen = -1
    if place >= 0:
        c.chosen = c.ids[place]
        surprise = -ln(c.weights[place] / total) / LN_2
        op.mu = f32(op.mu - op.eta * (surprise - op.tau))
