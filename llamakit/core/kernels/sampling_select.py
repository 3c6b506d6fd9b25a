"""Stages of the sampler that drop candidates by logit: top-k, top-p, min-p.

None sorts more than the few that can stay: each finds a floor that all who stay reach, collects those who reach it,
and sorts them if the stage needs order.
"""

from __future__ import annotations

from llamakit.core.kernels.candidates import Candidates, end_at, largest, weigh
from llamakit.core.kernels.kernel import kernel
from llamakit.core.kernels.sampling_sort import collect, keep, keep_largest, sort
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import less, select, sum_lanes, view
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i64


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
        n = collect(c, floor_of_weight(c, goal))
        if n >= op.min_keep:
            sort(c.keys, c.spare_keys, n)
            keep(c, n, 1)
        else:
            keep_largest(c, op.min_keep)
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
