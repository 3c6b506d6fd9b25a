"""Sampling stages that drop candidates: top-k, top-p, min-p. None sorts more than the few that can stay.

Each finds a floor that all who stay reach, collects those who reach it, and sorts them if the stage needs order.
"""

from __future__ import annotations

from llamakit.core.kernels.candidates import LOWEST, Candidates, count_blocks, end_at, largest, weigh
from llamakit.core.kernels.kernel import kernel
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import less, max_lanes, registers, select, sum_lanes, view, vmax
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i32, i64

LOW_HALF = 0xFFFFFFFF
SIGN = 0x7FFFFFFF


@helper
def sort_key(bits, low):
    """A larger float gives a smaller upper half, -0 that of 0.   bits: the float's, as int32; low: what goes along"""
    rank = SIGN - bits if bits >= 0 else bits + LOW_HALF
    return (rank << 32) | low


@helper
def float_bits(key):
    """The bits of a key's float."""
    rank = (key >> 32) & LOW_HALF
    return SIGN - rank if rank <= SIGN else rank - LOW_HALF


@helper
def sort(keys, spare, n):
    """Radix sort by the upper halves, ascending; equal ones keep their order."""
    starts = registers(i64, 256)
    for shift in range(32, 64, 8):
        for digit in range(256):
            starts[digit] = 0
        for i in range(n):
            starts[(keys[i] >> shift) & 255] += 1
        start = 0
        for digit in range(256):
            count = starts[digit]
            starts[digit] = start
            start += count
        for i in range(n):
            digit = (keys[i] >> shift) & 255
            spare[starts[digit]] = keys[i]
            starts[digit] += 1
        keys, spare = spare, keys


@helper
def collect(c, floor):
    """Keys of the candidates with logit >= floor, in their order, but never those of -inf; returns how many."""
    floor = max(floor, f32(LOWEST))
    bits = view(c.logits, i32)
    n = 0
    for block in range(count_blocks(c.n)):
        x = view(c.logits + 64 * block, f32x16)
        if max_lanes(vmax(vmax(x[0], x[1]), vmax(x[2], x[3]))) >= floor:
            for i in range(64 * block, min(64 * block + 64, c.n)):
                if c.logits[i] >= floor:
                    c.keys[n] = sort_key(bits[i], c.ids[i])
                    n += 1
    return n


@helper
def keep(c, n, is_sorted):
    """The first n keys are the candidates now."""
    bits = view(c.logits, i32)
    for i in range(n):
        bits[i] = float_bits(c.keys[i])
        c.kept_ids[i] = c.keys[i] & LOW_HALF
    c.ids, c.is_whole, c.is_sorted = c.kept_ids, 0, is_sorted
    end_at(c, n)


@helper
def floor_of_k(c, k):
    """A logit that at least k candidates reach, and few more.

    The k-th largest of the column maxima: a column is every 16th of 1024 candidates, so a vector holds 16 maxima.
    """
    n_vectors = (c.n + 15) // 16
    n_spans = (n_vectors + 63) // 64
    if k > 16 * n_spans:
        return f32(LOWEST)
    x, maxima = view(c.logits, f32x16), view(c.weights, f32x16)
    for span in range(n_spans):
        top = x[64 * span]
        for i in range(64 * span + 1, min(64 * span + 64, n_vectors)):
            top = vmax(top, x[i])
        maxima[span] = top
    bits = view(c.weights, i32)
    for i in range(16 * n_spans):
        c.keys[i] = sort_key(bits[i], i)
    sort(c.keys, c.spare_keys, 16 * n_spans)
    return c.weights[c.keys[k - 1] & LOW_HALF]


@helper
def keep_largest(c, k):
    n = collect(c, floor_of_k(c, k))
    sort(c.keys, c.spare_keys, n)
    keep(c, min(n, k), 1)


class TopK(Record):
    candidates: Ptr[Candidates]
    k: i64


@kernel(TopK)
def top_k(op, thread, n_threads):
    """The k largest logits, descending; of equal ones the lower ids"""
    c = op.candidates
    if c.is_sorted == 0:
        keep_largest(c, op.k)
    end_at(c, min(c.n, op.k))


@helper
def weight_above(weights, n_vectors, bound):
    """The sum of the weights that reach the bound."""
    total = f32x16(0)
    for i in range(n_vectors):
        total += select(less(weights[i], f32x16(bound)), f32x16(0), weights[i])
    return sum_lanes(total)


@helper
def floor_of_weight(c, goal):
    """A logit such that the candidates that reach it weigh at least `goal`, to within a factor of two of e^logit."""
    weights, n_vectors = view(c.weights, f32x16), (c.n + 15) // 16
    none, enough = 0, 63  # halvings of the largest weight, which is 1
    while none < enough:
        middle = (none + enough) // 2
        if weight_above(weights, n_vectors, f32(1.0 / (1 << middle))) >= goal:
            enough = middle
        else:
            none = middle + 1
    return largest(c) - f32(enough) * f32(0.6931472) - f32(0.01)  # a little lower, as weights are rounded


class TopP(Record):
    candidates: Ptr[Candidates]
    p: f32
    min_keep: i64


@kernel(TopP)
def top_p(op, thread, n_threads):
    """The fewest candidates, largest first, with p_0 + ... + p_i >= p.   p: softmax"""
    c = op.candidates
    goal = op.p * weigh(c)
    if c.is_sorted == 0:
        floor = floor_of_weight(c, goal)
        if op.min_keep > 1:
            floor = min(floor, floor_of_k(c, op.min_keep))
        n = collect(c, floor)
        sort(c.keys, c.spare_keys, n)
        keep(c, n, 1)
        weigh(c)
    passed = 0.0
    for i in range(c.n):
        passed += c.weights[i]
        if passed >= goal and i + 1 >= op.min_keep:
            end_at(c, i + 1)
            return


class MinP(Record):
    candidates: Ptr[Candidates]
    log_p: f32
    min_keep: i64


@kernel(MinP)
def min_p(op, thread, n_threads):
    """Candidates with probability >= p * that of the likeliest: l >= largest + ln p"""
    c = op.candidates
    floor = largest(c) + op.log_p
    if c.is_sorted == 1:
        n = min(op.min_keep, c.n)
        while n < c.n and c.logits[n] >= floor:
            n += 1
        end_at(c, n)
    else:
        n = collect(c, floor)
        if n >= op.min_keep:
            keep(c, n, 0)
        else:
            keep_largest(c, op.min_keep)
