"""Mixture of experts: which experts a token takes, with what share, and the sum of what they give."""

from __future__ import annotations

from llamakit.core.kernels.activation import exp, sigmoid, softplus
from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import is_null, max_lanes, sqrt, sum_lanes, view, vmax, vsqrt
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i32, i64

NEVER = -1e30
SOFTMAX, SIGMOID, SOFTMAX_CHOSEN, SOFTPLUS_ROOT, SPARSE_MIXER = range(5)
GATINGS = {
    "softmax": SOFTMAX, "sigmoid": SIGMOID, "softmax_chosen": SOFTMAX_CHOSEN, "softplus_root": SOFTPLUS_ROOT,
    "sparse_mixer": SPARSE_MIXER,
}  # fmt: skip


class Route(Record):
    """The best experts of each token, best first, and their shares, as `graph.ops.Experts` says."""

    logits: Ptr[f32]  # (n_tokens, pitch)
    probs: Ptr[f32]  # (n_tokens, pitch): what they become
    worths: Ptr[f32]  # (n_tokens, pitch): what the choice goes by
    bias: Ptr[f32]  # (pitch,): of the choice; or null
    shares: Ptr[f32]  # (n_tokens, n_used)
    chosen: Ptr[i32]  # (n_tokens, n_used)
    n_rows: Ptr[i64]  # tokens
    n_chosen_rows: Ptr[i64]  # where n_tokens * n_used goes
    pitch: i64
    n_expert: i64
    n_used: i64
    n_group: i64
    n_group_used: i64
    n_best_of_group: i64  # 1 or 2
    per_expert: i64
    gating: i64
    is_normed: i64
    norm_power: i64  # 1: by the sum, 2: by the root of the sum of squares
    norm_floor: f32  # what that counts as at least
    scale: f32
    jitter: f32


@helper
def softmax_row(x, n, n_vectors):
    """x = softmax of its first n numbers; the rest becomes 0."""
    for i in range(n, n_vectors * 16):
        x[i] = f32(NEVER)
    x = view(x, f32x16)
    peak, total = f32x16(NEVER), f32x16(0)
    for i in range(n_vectors):
        peak = vmax(peak, x[i])
    peak = f32x16(max_lanes(peak))
    for i in range(n_vectors):
        x[i] = exp(x[i] - peak)
        total = total + x[i]
    whole = sum_lanes(total)
    for i in range(n_vectors):
        x[i] = x[i] / whole


@helper
def best_of(worth, n):
    """The index of the largest number, the first of equals."""
    best = 0
    for e in range(1, n):
        if worth[e] > worth[best]:
            best = e
    return best


@helper
def leave_best_groups(worth, n, n_used, size, n_best):
    """Numbers of all but the n_used best groups become NEVER; a group counts by its largest, or its two."""
    for _ in range(n - n_used):
        worst, least = 0, f32(-NEVER)
        for g in range(n):
            group = worth + g * size
            first, second = f32(NEVER), f32(NEVER)
            for e in range(size):
                if group[e] > first:
                    first, second = group[e], first
                elif group[e] > second:
                    second = group[e]
            if n_best == 1:
                second = f32(0)
            if group[0] != f32(NEVER) and first + second <= least:
                worst, least = g, first + second
        for e in range(size):
            worth[worst * size + e] = f32(NEVER)


@helper
def share_of_near(logits, worth, best, n, jitter):
    """The best one's part of the softmax over those left that are near it; the numbers of the others are NEVER."""
    peak, total = worth[best], f32(0)
    for e in range(n):
        size = max(max(logits[e], f32(0) - logits[e]), peak)
        if worth[e] > f32(NEVER) and (peak - logits[e]) / size <= f32(2) * jitter:
            total += max_lanes(exp(f32x16(logits[e] - peak)))
    return f32(1) / total


@kernel(Route)
def route(op, thread, n_threads):
    n_vectors = op.pitch // 16
    if thread == 0:
        op.n_chosen_rows[0] = op.n_rows[0] * op.n_used
    first, last = share(op.n_rows[0], thread, n_threads)
    for token in range(first, last):
        row, worth = op.probs + token * op.pitch, op.worths + token * op.pitch
        shares, chosen = op.shares + token * op.n_used, op.chosen + token * op.n_used
        x, y, logits = view(row, f32x16), view(worth, f32x16), view(op.logits + token * op.pitch, f32x16)
        for i in range(n_vectors):
            x[i] = logits[i]
        if op.gating == SOFTMAX:
            softmax_row(row, op.n_expert, n_vectors)
        for i in range(n_vectors):
            if op.gating == SIGMOID:
                x[i] = sigmoid(x[i])
            elif op.gating == SOFTPLUS_ROOT:
                x[i] = vsqrt(softplus(x[i]))
            y[i] = x[i] + view(op.bias, f32x16)[i] if is_null(op.bias) == 0 else x[i]
        if op.n_group > 1:
            leave_best_groups(worth, op.n_group, op.n_group_used, op.n_expert // op.n_group, op.n_best_of_group)
        for k in range(op.n_used):
            best = best_of(worth, op.n_expert)
            shares[k], chosen[k] = row[best], i32(best // op.per_expert)
            if op.gating == SPARSE_MIXER:
                shares[k] = share_of_near(row, worth, best, op.n_expert, op.jitter)
            worth[best] = f32(NEVER) * f32(2)
        if op.gating == SOFTMAX_CHOSEN:
            total, peak = f32(0), shares[0]
            for k in range(1, op.n_used):
                peak = max(peak, shares[k])
            for k in range(op.n_used):
                shares[k] = max_lanes(exp(f32x16(shares[k] - peak)))
                total += shares[k]
            for k in range(op.n_used):
                shares[k] = shares[k] / total
        taken = f32(0)
        for k in range(op.n_used):
            taken += shares[k] if op.norm_power == 1 else shares[k] * shares[k]
        if op.norm_power == 2:
            taken = sqrt(taken)
        for k in range(op.n_used):
            if op.is_normed != 0:
                shares[k] = shares[k] / max(taken, op.norm_floor)
            shares[k] = shares[k] * op.scale


class Spread(Record):
    """out[t][k] = x[t] * shares[t][k], a row for each chosen expert; the shares become 1."""

    x: Ptr[f32]  # (n_tokens, pitch)
    shares: Ptr[f32]
    out: Ptr[f32]  # (n_tokens * n_used, pitch)
    n_rows: Ptr[i64]
    pitch: i64
    n_used: i64


@kernel(Spread)
def spread(op, thread, n_threads):
    first, last = share(op.n_rows[0], thread, n_threads)
    for token in range(first, last):
        x = view(op.x + token * op.pitch, f32x16)
        for k in range(op.n_used):
            row = token * op.n_used + k
            out = view(op.out + row * op.pitch, f32x16)
            for i in range(op.pitch // 16):
                out[i] = x[i] * op.shares[row]
            op.shares[row] = f32(1)


class Combine(Record):
    """out[t] = sum over k of shares[t][k] * y[t][k]"""

    y: Ptr[f32]  # (n_tokens * n_used, y_pitch)
    y_pitch: i64  # at least pitch
    shares: Ptr[f32]
    out: Ptr[f32]  # (n_tokens, pitch)
    n_rows: Ptr[i64]
    pitch: i64
    n_used: i64


@kernel(Combine)
def combine(op, thread, n_threads):
    n_vectors, y_vectors = op.pitch // 16, op.y_pitch // 16
    first, last = share(op.n_rows[0], thread, n_threads)
    for token in range(first, last):
        shares, out = op.shares + token * op.n_used, view(op.out + token * op.pitch, f32x16)
        y = view(op.y + token * op.n_used * op.y_pitch, f32x16)
        for i in range(n_vectors):
            total = f32x16(0)
            for k in range(op.n_used):
                total = total + y[k * y_vectors + i] * shares[k]
            out[i] = total
