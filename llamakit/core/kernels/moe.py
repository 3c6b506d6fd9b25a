"""Mixture of experts: which experts a token takes, with what share, and the sum of what they give."""

from __future__ import annotations

from llamakit.core.kernels.activation import exp
from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.simd.ops import max_lanes, sum_lanes, view, vmax
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i32, i64

SMALLEST = 2.0**-14  # the sum of shares counts as at least this
NEVER = -1e30


class Route(Record):
    """The best experts of each token, best first, and their shares."""

    logits: Ptr[f32]  # (n_tokens, pitch)
    shares: Ptr[f32]  # (n_tokens, n_used)
    chosen: Ptr[i32]  # (n_tokens, n_used)
    n_rows: Ptr[i64]  # tokens
    n_chosen_rows: Ptr[i64]  # where n_tokens * n_used goes
    pitch: i64
    n_expert: i64
    n_used: i64
    is_normed: i64


@kernel(Route)
def route(op, thread, n_threads):
    """share = softmax(logits); the n_used largest, divided by their sum if is_normed. `logits` is overwritten."""
    n_vectors = op.pitch // 16
    if thread == 0:
        op.n_chosen_rows[0] = op.n_rows[0] * op.n_used
    first, last = share(op.n_rows[0], thread, n_threads)
    for token in range(first, last):
        row = op.logits + token * op.pitch
        shares, chosen = op.shares + token * op.n_used, op.chosen + token * op.n_used
        for e in range(op.n_expert, op.pitch):
            row[e] = f32(NEVER)
        x = view(row, f32x16)
        peak, total = f32x16(NEVER), f32x16(0)
        for i in range(n_vectors):
            peak = vmax(peak, x[i])
        peak = f32x16(max_lanes(peak))
        for i in range(n_vectors):
            x[i] = exp(x[i] - peak)
            total = total + x[i]
        whole, taken = sum_lanes(total), f32(0)
        for k in range(op.n_used):
            best = 0
            for e in range(1, op.n_expert):
                if row[e] > row[best]:
                    best = e
            shares[k], chosen[k] = row[best] / whole, i32(best)
            taken += shares[k]
            row[best] = f32(NEVER)
        if op.is_normed != 0:
            for k in range(op.n_used):
                shares[k] = shares[k] / max(taken, f32(SMALLEST))


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
