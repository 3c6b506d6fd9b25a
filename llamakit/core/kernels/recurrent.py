"""Ops that remember: each run of a batch goes on from its sequence's state, token by token, and leaves it changed.

Threads share channels or heads, never tokens, so no bit depends on how a prompt is cut.
"""

from __future__ import annotations

from llamakit.core.kernels.activation import exp
from llamakit.core.kernels.batch import Batch
from llamakit.core.kernels.kernel import kernel, share
from llamakit.core.simd.op import helper
from llamakit.core.simd.ops import fma, is_null, max_lanes, registers, sum_lanes, view
from llamakit.core.simd.records import Ptr, Record, f32, f32x16, i64


class Remembering(Record):
    """Base of the records: sequence s has its state at states + s * state_pitch."""

    batch: Ptr[Batch]
    states: Ptr[f32]
    state_pitch: i64


class Convolution(Remembering):
    """out[t] = sum over j of weight[j] x[t - (n - 1) + j] + bias; rows of x and out are `pitch` apart."""

    x: Ptr[f32]
    out: Ptr[f32]
    weight: Ptr[f32]  # (n, pitch)
    bias: Ptr[f32]  # or null
    n: i64
    pitch: i64


@kernel(Convolution)
def convolve(op, thread, n_threads):
    """The state are the last n - 1 rows, `pitch` apart."""
    batch, pitch = op.batch, op.pitch
    first, last = share(pitch // 16, thread, n_threads)
    for r in range(batch.n_runs):
        run = batch.runs + r
        state = op.states + run.seq * op.state_pitch
        for i in range(first, last):
            for t in range(run.n_tokens):
                total = f32x16(0)
                if is_null(op.bias) == 0:
                    total = view(op.bias, f32x16)[i]
                for j in range(op.n):
                    back = t - (op.n - 1) + j
                    row = op.x + (run.first + back) * pitch if back >= 0 else state + (op.n - 1 + back) * pitch
                    total = fma(view(row, f32x16)[i], view(op.weight + j * pitch, f32x16)[i], total)
                view(op.out + (run.first + t) * pitch, f32x16)[i] = total
            for j in range(op.n - 1):
                back = run.n_tokens - (op.n - 1) + j
                row = op.x + (run.first + back) * pitch if back >= 0 else state + (op.n - 1 + back) * pitch
                view(state + j * pitch, f32x16)[i] = view(row, f32x16)[i]


class StateScan(Remembering):
    """As `graph.recurrent.StateScan` says. The state of a head is p rows of n numbers, `n_pitch` apart."""

    x: Ptr[f32]
    dt: Ptr[f32]  # or null: ones
    b: Ptr[f32]
    c: Ptr[f32]
    out: Ptr[f32]
    x_pitch: i64
    dt_pitch: i64
    b_pitch: i64
    c_pitch: i64
    a: Ptr[f32]  # (heads, n_pitch): as many numbers as states, or one
    d: Ptr[f32]  # or null
    is_one: i64  # a has one number for each head
    n_head: i64
    n_group: i64
    p: i64
    n: i64
    n_pitch: i64  # a multiple of 16, at most 256


@helper
def load(source, n, target):
    """n floats, then zeros to whole vectors."""
    for i in range(n // 16):
        target[i] = view(source, f32x16)[i]
    if n % 16 != 0:
        target[n // 16] = f32x16(0)
        for i in range(n // 16 * 16, n):
            view(target, f32)[i] = source[i]


@helper
def store(source, n, target):
    """The first n floats, to where no vector needs to begin."""
    for i in range(n // 16):
        view(target, f32x16)[i] = source[i]
    for i in range(n // 16 * 16, n):
        target[i] = view(source, f32)[i]


@kernel(StateScan)
def scan(op, thread, n_threads):
    b, c, decay = registers(f32x16, 16), registers(f32x16, 16), registers(f32x16, 16)
    batch, n_vectors, per_group = op.batch, op.n_pitch // 16, op.n_head // op.n_group
    first, last = share(op.n_head, thread, n_threads)
    for r in range(batch.n_runs):
        run = batch.runs + r
        for head in range(first, last):
            state = op.states + (run.seq * op.state_pitch + head * op.p * op.n_pitch)
            a, group = view(op.a + head * op.n_pitch, f32x16), head // per_group
            for t in range(run.first, run.first + run.n_tokens):
                dt, skip = f32(1), f32(0)
                if is_null(op.dt) == 0:
                    dt = op.dt[t * op.dt_pitch + head]
                if is_null(op.d) == 0:
                    skip = op.d[head]
                load(op.b + (t * op.b_pitch + group * op.n), op.n, b)
                load(op.c + (t * op.c_pitch + group * op.n), op.n, c)
                if op.is_one != 0:
                    decay[0] = exp(f32x16(op.a[head * op.n_pitch] * dt))
                    for i in range(1, n_vectors):
                        decay[i] = decay[0]
                else:
                    for i in range(n_vectors):
                        decay[i] = exp(a[i] * dt)
                x, out = op.x + (t * op.x_pitch + head * op.p), op.out + (t * op.x_pitch + head * op.p)
                for k in range(op.p):
                    h, value, total = view(state + k * op.n_pitch, f32x16), f32x16(x[k] * dt), f32x16(0)
                    for i in range(n_vectors):
                        new = fma(h[i], decay[i], value * b[i])
                        h[i] = new
                        total = fma(new, c[i], total)
                    out[k] = sum_lanes(total) + skip * x[k]
    clear_tails(op.batch, op.out, op.x_pitch, op.n_head * op.p, thread)


@helper
def clear_tails(batch, out, pitch, n, thread):
    """Zeros behind the n numbers of each row."""
    if thread == 0:
        for t in range(batch.n_tokens):
            for i in range(n, pitch):
                out[t * pitch + i] = f32(0)


class DeltaScan(Remembering):
    """As `graph.recurrent.DeltaScan` says. The state of a head is n_key rows of n_value numbers, `v_size` apart."""

    q: Ptr[f32]
    k: Ptr[f32]
    v: Ptr[f32]
    g: Ptr[f32]
    beta: Ptr[f32]
    out: Ptr[f32]
    q_pitch: i64
    k_pitch: i64
    v_pitch: i64
    g_pitch: i64
    beta_pitch: i64
    n_head: i64
    n_head_k: i64
    n_key: i64
    n_value: i64
    v_size: i64  # n_value in whole vectors, at most 256
    is_tiled: i64
    has_key_decay: i64  # g has one number for each key of a head


@kernel(DeltaScan)
def delta(op, thread, n_threads):
    known, total = registers(f32x16, 16), registers(f32x16, 16)
    batch, n_vectors, n_key = op.batch, op.v_size // 16, op.n_key
    first, last = share(op.n_head, thread, n_threads)
    for r in range(batch.n_runs):
        run = batch.runs + r
        for head in range(first, last):
            state = op.states + (run.seq * op.state_pitch + head * n_key * op.v_size)
            key_head = head % op.n_head_k if op.is_tiled != 0 else head // (op.n_head // op.n_head_k)
            for t in range(run.first, run.first + run.n_tokens):
                q, k = op.q + (t * op.q_pitch + key_head * n_key), op.k + (t * op.k_pitch + key_head * n_key)
                beta, decay = op.beta[t * op.beta_pitch + head], f32(0)
                if op.has_key_decay == 0:
                    decay = max_lanes(exp(f32x16(op.g[t * op.g_pitch + head])))
                for i in range(n_vectors):
                    known[i], total[i] = f32x16(0), f32x16(0)
                for j in range(n_key):
                    if op.has_key_decay != 0:
                        decay = max_lanes(exp(f32x16(op.g[t * op.g_pitch + head * n_key + j])))
                    row = view(state + j * op.v_size, f32x16)
                    for i in range(n_vectors):
                        row[i] = row[i] * decay
                        known[i] = fma(row[i], f32x16(k[j]), known[i])
                load(op.v + (t * op.v_pitch + head * op.n_value), op.n_value, total)
                for i in range(n_vectors):
                    known[i] = (total[i] - known[i]) * beta
                    total[i] = f32x16(0)
                for j in range(n_key):
                    row = view(state + j * op.v_size, f32x16)
                    for i in range(n_vectors):
                        row[i] = fma(known[i], f32x16(k[j]), row[i])
                        total[i] = fma(row[i], f32x16(q[j]), total[i])
                out = op.out + (t * op.v_pitch + head * op.n_value)
                store(total, op.n_value, out)
    clear_tails(op.batch, op.out, op.v_pitch, op.n_head * op.n_value, thread)


class WkvScan(Remembering):
    """As `graph.recurrent.WkvScan` says. The state of a head is n rows of n numbers, `size` apart."""

    r: Ptr[f32]  # rows of all are `pitch` apart
    w: Ptr[f32]
    k: Ptr[f32]
    v: Ptr[f32]
    a: Ptr[f32]  # a and b, or null
    b: Ptr[f32]
    out: Ptr[f32]
    pitch: i64
    n_head: i64
    n: i64
    size: i64  # n in whole vectors, at most 256
    is_read_first: i64


@kernel(WkvScan)
def wkv(op, thread, n_threads):
    value, known, total = registers(f32x16, 16), registers(f32x16, 16), registers(f32x16, 16)
    batch, n_vectors, n = op.batch, op.size // 16, op.n
    first, last = share(op.n_head, thread, n_threads)
    for index in range(batch.n_runs):
        run = batch.runs + index
        for head in range(first, last):
            state = op.states + (run.seq * op.state_pitch + head * n * op.size)
            for t in range(run.first, run.first + run.n_tokens):
                at = t * op.pitch + head * n
                load(op.v + at, n, value)
                for i in range(n_vectors):
                    known[i], total[i] = f32x16(0), f32x16(0)
                if is_null(op.a) == 0:
                    for j in range(n):
                        row = view(state + j * op.size, f32x16)
                        for i in range(n_vectors):
                            known[i] = fma(row[i], f32x16(op.a[at + j]), known[i])
                for j in range(n):
                    row, correction = view(state + j * op.size, f32x16), f32(0)
                    if is_null(op.b) == 0:
                        correction = op.b[at + j]
                    for i in range(n_vectors):
                        seen = row[i]
                        new = fma(seen, f32x16(op.w[at + j]), value[i] * op.k[at + j])
                        new = fma(known[i], f32x16(correction), new)
                        row[i] = new
                        if op.is_read_first == 0:
                            seen = new
                        total[i] = fma(seen, f32x16(op.r[at + j]), total[i])
                store(total, n, op.out + at)
    clear_tails(op.batch, op.out, op.pitch, op.n_head * n, thread)
