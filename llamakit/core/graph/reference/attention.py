"""Rotation and attention in NumPy: all scores of a sequence at once, as the formula says."""

from __future__ import annotations

import numpy as np

from llamakit.core.graph import fused, ops
from llamakit.core.graph.ops.attention import (
    Attention,
    CachedAttention,
    KeepSource,
    SourceAttention,
    alibi_by_key,
    alibi_slopes,
)
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.graph.reference.indexer import unpacked
from llamakit.core.graph.reference.interpreter import Floats, Reference, formula, given, normed, softmax


def turned(run: Reference, x: Floats, head_dim: int, rotation: Rotation) -> Floats:
    angles = rotation.angles(len(x), run.position)[:, None]
    cos, sin = angles[..., 0], angles[..., 1]
    out = x.reshape(len(x), -1, head_dim).copy()
    n = rotation.n_rot
    first, second = (slice(0, n // 2), slice(n // 2, n)) if rotation.is_neox else (slice(0, n, 2), slice(1, n, 2))
    a, b = out[..., first].copy(), out[..., second].copy()
    out[..., first], out[..., second] = a * cos - b * sin, a * sin + b * cos
    return out.reshape(x.shape)


@formula(ops.Rope)
def rope(run: Reference, op: ops.Rope, x: Floats) -> Floats:
    return turned(run, x, op.head_dim, op.rotation)


@formula(Attention)
def attention(
    run: Reference,
    op: Attention | fused.RopeAttention,
    q: Floats,
    k: Floats,
    v: Floats,
    *rest: Floats,
) -> Floats:
    sinks, biases, chosen = given(rest, op.sinks, op.distances, op.chosen)
    if op.layer in run.cache:
        k, v = (np.concatenate(both) for both in zip(run.cache[op.layer], (k, v), strict=True))
    run.cache[op.layer] = k, v
    return attended(op, q, k, v, sinks, biases, chosen)


@formula(CachedAttention)
def cached_attention(run: Reference, op: CachedAttention, q: Floats) -> Floats:
    return attended(op, q, *run.cache[op.layer], None)


def attended(
    op: Attention | CachedAttention | fused.RopeAttention,
    q: Floats,
    k: Floats,
    v: Floats,
    sinks: Floats | None,
    biases: Floats | None = None,
    chosen: Floats | None = None,
) -> Floats:
    values = by_head(v, op.n_head_kv, op.n_head)
    return (attention_shares(op, q, k, sinks, biases, chosen) @ values).swapaxes(0, 1).reshape(len(q), -1)


def by_head(rows: Floats, n: int, n_head: int) -> Floats:
    """(n_rows, n * width) -> (n_head, n_rows, width); each of n heads serves several."""
    return np.repeat(rows.reshape(len(rows), n, -1).swapaxes(0, 1), n_head // n, axis=0)


def attention_shares(
    op: Attention | CachedAttention | fused.RopeAttention,
    q: Floats,
    k: Floats,
    sinks: Floats | None,
    biases: Floats | None = None,
    chosen: Floats | None = None,
) -> Floats:
    """What part each key's value has in the result; queries are those of the last positions.

    q: (n_query, heads * width), k: (n_key, heads * width)  ->  (n_head, n_query, n_key)
    """
    n_query, n_key = len(q), len(k)
    q, k = by_head(q, op.n_head, op.n_head), by_head(k, op.n_head_kv, op.n_head)
    scores = q @ k.swapaxes(1, 2) * np.float32(op.scale)
    if op.softcap:
        scores = np.tanh(scores / np.float32(op.softcap)) * np.float32(op.softcap)
    position = (n_key - n_query + np.arange(n_query))[:, None]
    distance = position - np.arange(n_key)
    if op.max_bias and not isinstance(op, CachedAttention) and op.is_bias_by_key:
        scores = scores + alibi_by_key(op.max_bias, op.n_head, n_key)[:, None] * np.float32(op.scale)
    elif op.max_bias:
        slopes = np.array(alibi_slopes(op.max_bias, op.n_head), np.float32)
        scores = scores - slopes[:, None, None] * np.abs(distance).astype(np.float32)
    if biases is not None and not isinstance(op, CachedAttention) and op.buckets is not None:
        scores = scores + biases[op.buckets.of(-distance)].transpose(2, 0, 1)
    reach = position % op.window + 1 if op.window and op.is_chunked else op.window or n_key + 1
    is_late = distance < 0 if op.is_causal else distance <= -reach
    is_hidden = is_late | (distance >= reach)
    if chosen is not None:
        is_hidden = is_hidden | ~unpacked(chosen, n_key)
    scores = np.where(is_hidden, -np.inf, scores)
    if sinks is not None:
        column = np.broadcast_to(sinks[:, None, None], (*scores.shape[:2], 1))
        shares: Floats = softmax(np.concatenate([scores, column], -1).astype(np.float32))[..., :-1]
        return shares
    return softmax(scores)


@formula(fused.RopeAttention)
def rope_attention(run: Reference, op: fused.RopeAttention, q: Floats, k: Floats, v: Floats, *rest: Floats) -> Floats:
    n_norms = sum(each is not None for each in (op.q_norm, op.k_norm))
    q_norm, k_norm = given(rest[:n_norms], op.q_norm, op.k_norm)
    widths = op.n_head * op.head_dim, op.n_head_kv * op.head_dim, op.n_head_kv * op.head_dim_v
    q, k, v = (a[:, first : first + n] for a, first, n in zip((q, k, v), op.offsets, widths, strict=True))
    q = normed(q, q_norm, op.eps) if q_norm is not None else q
    k = normed(k, k_norm, op.eps) if k_norm is not None else k
    if op.rotation is not None:
        q, k = (turned(run, a, op.head_dim, op.rotation) for a in (q, k))
    if not op.has_own_keys:
        return attended(op, q, *run.cache[op.layer], *given(rest[n_norms:], op.sinks))
    return attention(run, op, q, k, v, *rest[n_norms:])


@formula(KeepSource)
def keep_source(run: Reference, op: KeepSource, x: Floats, k: Floats, v: Floats) -> Floats:
    run.cache[op.layer] = k, v
    return x


@formula(SourceAttention)
def source_attention(run: Reference, op: SourceAttention, q: Floats) -> Floats:
    k, v = (by_head(a, op.n_head_kv, op.n_head) for a in run.cache[op.layer])
    share = softmax(by_head(q, op.n_head, op.n_head) @ k.swapaxes(1, 2) * np.float32(op.scale))
    out: Floats = (share @ v).swapaxes(0, 1).reshape(len(q), -1)
    return out
