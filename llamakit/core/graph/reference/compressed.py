"""Attention to summaries, in NumPy."""

from __future__ import annotations

import numpy as np

from llamakit.core.graph.ops import compressed
from llamakit.core.graph.reference.indexer import unpacked
from llamakit.core.graph.reference.interpreter import Floats, Reference, formula, softmax


@formula(compressed.Pooled)
def pooled(run: Reference, op: compressed.Pooled, x: Floats, score: Floats, place: Floats) -> Floats:
    """The state are all rows so far, x and scores side by side."""
    position = np.arange(run.position, run.position + len(x))
    rows = np.concatenate([x, score + place[position % op.ratio]], axis=1)
    rows = np.concatenate([run.states.get(op.state, rows[:0]), rows])
    run.states[op.state] = rows
    out = np.zeros((len(x), op.n), np.float32)
    for t, p in enumerate(position):
        if (p + 1) % op.ratio == 0:
            seen = rows[max(p + 1 - op.n_span, 0) : p + 1]
            parts = [half.reshape(len(seen), -1, op.n) for half in np.split(seen, 2, axis=1)]
            values, scores = (np.concatenate([half[: -op.ratio, 0], half[-op.ratio :, -1]]) for half in parts)
            out[t] = (softmax(scores.T).T * values).sum(0)
    return out


@formula(compressed.CompressedAttention)
def compressed_attention(
    run: Reference,
    op: compressed.CompressedAttention,
    q: Floats,
    keys: Floats,
    sinks: Floats,
    chosen: Floats | None = None,
) -> Floats:
    if op.layer in run.cache:
        keys = np.concatenate([run.cache[op.layer][0], keys])
    run.cache[op.layer] = keys, keys
    own, summaries = np.split(keys, 2, axis=1)
    seen_pools = unpacked(chosen, len(keys)) if chosen is not None else np.ones((len(q), len(keys)), bool)
    out = np.empty((len(q), op.n_head, op.head_dim), np.float32)
    for t, heads in enumerate(q.reshape(len(q), op.n_head, -1)):
        p = len(keys) - len(q) + t
        ends = np.arange(op.ratio - 1, p + 1, op.ratio)
        seen = np.concatenate([own[max(p + 1 - op.window, 0) : p + 1], summaries[ends[seen_pools[t, ends]]]])
        scores = np.concatenate([heads @ seen.T * np.float32(op.scale), sinks[:, None]], axis=1)
        out[t] = softmax(scores)[:, :-1] @ seen
    return out.reshape(len(q), -1)
