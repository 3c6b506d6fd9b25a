"""Ops that remember, in NumPy: token by token, as their formulas say."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.ops import recurrent
from llamakit.core.graph.reference.interpreter import Floats, Reference, formula


def state_of(run: Reference, op: recurrent.Recurrent, *shape: int) -> Any:
    """What an op keeps; zeros at first."""
    return run.states.setdefault(op.state, np.zeros(shape, np.float32))


@formula(recurrent.Convolution)
def convolution(
    run: Reference, op: recurrent.Convolution, x: Floats, weight: Floats, bias: Floats | None = None
) -> Floats:
    n = weight.shape[1]
    before = state_of(run, op, op.n_rows - 1, x.shape[1])
    rows = np.concatenate([before, x])
    run.states[op.state] = rows[len(rows) - (op.n_rows - 1) :]
    seen = (rows[j * op.dilation : j * op.dilation + len(x)] * weight[:, j] for j in range(n))
    y: Floats = sum(seen, np.zeros_like(x))
    return y if bias is None else y + bias


@formula(recurrent.NgramEmbed)
def ngram_embed(run: Reference, op: recurrent.NgramEmbed, tokens: npt.NDArray[np.int64], table: Floats) -> Floats:
    """What is kept are the last tokens plus 1; 0 is none."""
    n = len(op.multipliers)
    kept = np.concatenate([state_of(run, op, n - 1), tokens + 1])
    run.states[op.state] = kept[len(kept) - (n - 1) :]
    ids = []
    for t in range(len(tokens)):
        window = [int(token) - 1 for token in kept[t : t + n][::-1]]
        end = next((s for s in range(1, n) if window[s] in (-1, op.eos)), n)
        window = window[:end] + [op.eos] * (n - end)
        mixed = 0
        for token, multiplier in zip(window, op.multipliers, strict=True):
            mixed ^= token * multiplier % 2**64
        ids.append(mixed % op.size + op.offset)
    return table[ids]


@formula(recurrent.Shifted)
def shifted(run: Reference, op: recurrent.Shifted, x: Floats) -> Floats:
    rows = np.concatenate([state_of(run, op, 1, x.shape[1]), x])
    run.states[op.state] = rows[-1:]
    return rows[:-1]


@formula(recurrent.StateScan)
def state_scan(
    run: Reference, op: recurrent.StateScan, x: Floats, dt: Floats, b: Floats, c: Floats, a: Floats, d: Floats
) -> Floats:
    n_head = op.n_head
    h = state_of(run, op, n_head, x.shape[1] // n_head, op.n)
    x = x.reshape(len(x), n_head, -1)
    b, c = (np.repeat(m.reshape(len(m), -1, op.n), n_head * op.n // m.shape[1], axis=1) for m in (b, c))
    out = np.empty_like(x)
    for t in range(len(x)):
        h = h * np.exp(dt[t, :, None] * a)[:, None] + (x[t] * dt[t, :, None])[..., None] * b[t, :, None]
        out[t] = (h * c[t, :, None]).sum(-1) + d[:, None] * x[t]
    run.states[op.state] = h
    return out.reshape(len(x), -1)


@formula(recurrent.FadingScan)
def fading_scan(run: Reference, op: recurrent.FadingScan, q: Floats, k: Floats, v: Floats) -> Floats:
    n_head = len(op.rates)
    s = state_of(run, op, n_head, op.n, v.shape[1] // n_head)
    q, k, v = (m.reshape(len(m), n_head, -1) for m in (q, k, v))
    kept = np.exp(-np.array(op.rates))[:, None, None]
    out = np.empty_like(v)
    for t in range(len(v)):
        s = s * kept + k[t][..., None] * v[t][:, None]
        out[t] = np.einsum("hij,hi->hj", s, q[t])
    run.states[op.state] = s
    return out.reshape(len(v), -1)


@formula(recurrent.DeltaScan)
def delta_scan(
    run: Reference, op: recurrent.DeltaScan, q: Floats, k: Floats, v: Floats, g: Floats, beta: Floats
) -> Floats:
    n_head, n_head_k = op.n_head, op.n_head_k
    s = state_of(run, op, n_head, op.n_key, op.n_value)
    heads = np.arange(n_head) % n_head_k if op.is_tiled else np.arange(n_head) // (n_head // n_head_k)
    q, k = (m.reshape(len(m), n_head_k, -1)[:, heads] for m in (q, k))
    v, g = v.reshape(len(v), n_head, -1), g.reshape(len(g), n_head, -1)
    out = np.empty_like(v)
    for t in range(len(v)):
        s = s * np.exp(g[t])[..., None]
        known = np.einsum("hij,hi->hj", s, k[t])
        s = s + k[t][..., None] * (beta[t][:, None] * (v[t] - known))[:, None]
        out[t] = np.einsum("hij,hi->hj", s, q[t])
    run.states[op.state] = s
    return out.reshape(len(v), -1)


@formula(recurrent.WkvScan)
def wkv_scan(
    run: Reference, op: recurrent.WkvScan, r: Floats, w: Floats, k: Floats, v: Floats, *correction: Floats
) -> Floats:
    s = state_of(run, op, op.n_head, op.n, op.n)
    r, w, k, v, *given = (m.reshape(len(m), op.n_head, op.n) for m in (r, w, k, v, *correction))
    out = np.empty_like(v)
    for t in range(len(v)):
        before = s
        s = before * w[t][..., None] + k[t][..., None] * v[t][:, None]
        if given:
            a, b = given
            s = s + b[t][..., None] * np.einsum("hij,hi->hj", before, a[t])[:, None]
        out[t] = np.einsum("hij,hi->hj", before if op.is_read_first else s, r[t])
    run.states[op.state] = s
    return out.reshape(len(v), -1)
