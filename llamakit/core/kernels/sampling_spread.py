"""Stages of the sampler that look at how far the candidates spread: top-n-sigma, typical, tail-free, XTC."""

from __future__ import annotations

from llamakit.core.kernels.candidates import INFINITY, LOWEST, Candidates, Noise, count_blocks, end_at, largest, weigh
from llamakit.core.kernels.kernel import kernel
from llamakit.core.kernels.sampling_sort import LOW_HALF, sort, sort_all
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import less, select, sqrt, sum_lanes, vabs, view
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i32, i64


class TopNSigma(Record):
    candidates: Ptr[Candidates]
    n_sigma: f32


@kernel(TopNSigma)
def top_n_sigma(op, thread, n_threads):
    """l = -inf where l < largest - n sigma.   sigma: the population's deviation, of the logits above -inf"""
    c = op.candidates
    if c.n <= 1:
        return
    x, n_blocks, zero = view(c.logits, f32x16), count_blocks(c.n), f32x16(0)
    top = f32x16(largest(c))
    n, total, squares = 0.0, 0.0, 0.0
    for block in range(n_blocks):
        count, part = zero, zero
        for i in range(4 * block, 4 * block + 4):
            is_banned = less(x[i], f32x16(LOWEST))
            count += select(is_banned, zero, f32x16(1))
            part += select(is_banned, zero, top - x[i])
        n += float(sum_lanes(count))
        total += float(sum_lanes(part))
    mean = f32x16(f32(total / max(n, 1.0)))
    for block in range(n_blocks):
        part = zero
        for i in range(4 * block, 4 * block + 4):
            away = top - x[i] - mean
            part += select(less(x[i], f32x16(LOWEST)), zero, away * away)
        squares += float(sum_lanes(part))
    floor = top - f32x16(op.n_sigma * sqrt(f32(squares / max(n, 1.0))))
    for i in range(4 * n_blocks):
        x[i] = select(less(x[i], floor), f32x16(-INFINITY), x[i])


class Typical(Record):
    candidates: Ptr[Candidates]
    p: f32
    min_keep: i64


@kernel(Typical)
def typical_p(op, thread, n_threads):
    """The fewest with sum of probabilities > p, by |-ln p_i - H| ascending.   H = sum of -p ln p"""
    c = op.candidates
    goal = op.p * weigh(c)
    distances = view(c.spare_keys, f32)
    measure_distances(c, view(distances, f32x16))
    bound = bound_of_weight(c, view(distances, f32x16), goal)
    n = collect_within(c, distances, bound)
    if n < op.min_keep:
        n = collect_within(c, distances, f32(-LOWEST))
    sort(c.keys, c.spare_keys, n)
    passed, kept = 0.0, 0
    while kept < n and (passed <= goal or kept < op.min_keep):
        passed += c.weights[c.keys[kept] & LOW_HALF]
        kept += 1
    keep_places(c, kept)


@helper
def measure_distances(c, distances):
    """|-ln p - H|: as p = w / sum of w and w = e^(l - largest), the logarithm of the sum is in both and drops out."""
    x, weights, n_blocks = view(c.logits, f32x16), view(c.weights, f32x16), count_blocks(c.n)
    top = f32x16(largest(c))
    total, weighted = 0.0, 0.0
    for block in range(n_blocks):
        part, weighted_part = f32x16(0), f32x16(0)
        for i in range(4 * block, 4 * block + 4):
            w = weights[i]
            part += w
            weighted_part += select(less(f32x16(0), w), w * (top - x[i]), f32x16(0))
        total += float(sum_lanes(part))
        weighted += float(sum_lanes(weighted_part))
    mean = f32x16(f32(weighted / total))
    for i in range(4 * n_blocks):
        distances[i] = vabs(top - x[i] - mean)


@helper
def bound_of_weight(c, distances, goal):
    """A distance within which the candidates weigh more than `goal`, at most half a nat too large."""
    weights = view(c.weights, f32x16)
    none, enough = 0, 512  # quarters of a nat: no weight above 0 is further away
    while none < enough:
        middle = (none + enough) // 2
        bound, total = f32x16(f32(middle) * f32(0.25)), f32x16(0)
        for i in range(4 * count_blocks(c.n)):
            total += select(less(bound, distances[i]), f32x16(0), weights[i])
        if sum_lanes(total) > goal:
            enough = middle
        else:
            none = middle + 1
    return f32(enough + 1) * f32(0.25)


@helper
def collect_within(c, distances, bound):
    """Keys of the candidates within the bound, by distance: their places go along."""
    bits, n = view(distances, i32), 0
    for i in range(c.n):
        if distances[i] <= bound:
            c.keys[n] = (i64(bits[i]) << 32) | i
            n += 1
    return n


@helper
def keep_places(c, n):
    """The candidates at the places of the first n keys are those left."""
    bits = view(c.logits, i32)
    for i in range(n):
        place = c.keys[i] & LOW_HALF
        c.spare_keys[i] = (i64(bits[place]) << 32) | c.ids[place]
    for i in range(n):
        bits[i] = c.spare_keys[i] >> 32
        c.kept_ids[i] = c.spare_keys[i] & LOW_HALF
    c.ids, c.is_whole, c.is_sorted = c.kept_ids, 0, 0
    end_at(c, n)


class TailFree(Record):
    candidates: Ptr[Candidates]
    z: f32
    min_keep: i64


@helper
def bend(c, i):
    """How much the sorted weights bend after i: |d_i - d_(i+1)| with d_i = w_i - w_(i+1)."""
    first, second, third = float(c.weights[i]), float(c.weights[i + 1]), float(c.weights[i + 2])
    return abs((first - second) - (second - third))


@kernel(TailFree)
def tfs_z(op, thread, n_threads):
    """The first i by probability, the least i >= 1 with b_0 + ... + b_i > z.   b: bends, divided by their sum"""
    c = op.candidates
    sort_all(c)
    n_bends = c.n - 2
    if n_bends < 1:
        return
    weight = weigh(c)
    total, passed = 0.0, 0.0
    for i in range(n_bends):
        total += bend(c, i)
    is_straight = total <= 1e-6 * weight
    for i in range(n_bends):
        passed += 1.0 / n_bends if is_straight else bend(c, i) / total
        if passed > op.z and i >= max(1, op.min_keep):
            end_at(c, i)
            return


class Xtc(Record):
    candidates: Ptr[Candidates]
    probability: f32
    threshold: f32
    min_keep: i64
    noise: Ptr[Noise]


@kernel(Xtc)
def xtc(op, thread, n_threads):
    """Where u <= probability: of those with p >= threshold only the least likely stays.   p: softmax, u: in [0, 1)"""
    c = op.candidates
    if c.n < 2:
        return
    op.noise.is_used = 1
    if f32(f32(op.noise.first) / f32(4294967296.0)) > op.probability:
        return
    sort_all(c)
    least = max(op.threshold * weigh(c), 1e-38)  # what cannot be drawn is never the one that stays
    n_above = 0
    while n_above < c.n and c.weights[n_above] >= least:
        n_above += 1
    n_dropped = n_above - 1
    if n_dropped < 1 or c.n - n_dropped < op.min_keep:
        return
    for i in range(c.n - n_dropped):
        c.logits[i] = c.logits[i + n_dropped]
        c.kept_ids[i] = c.kept_ids[i + n_dropped]
    end_at(c, c.n - n_dropped)
