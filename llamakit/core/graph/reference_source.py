"""The ops of `source.py` in NumPy."""

from __future__ import annotations

import numpy as np

from llamakit.core.graph.reference import Floats, Reference, formula, softmax
from llamakit.core.graph.source import KeepSource, SourceAttention


@formula(KeepSource)
def keep_source(run: Reference, op: KeepSource, x: Floats, k: Floats, v: Floats) -> Floats:
    run.cache[op.layer] = k, v
    return x


@formula(SourceAttention)
def source_attention(run: Reference, op: SourceAttention, q: Floats) -> Floats:
    k, v = (a.reshape(len(a), op.n_head_kv, -1).swapaxes(0, 1) for a in run.cache[op.layer])
    k, v = (np.repeat(a, op.n_head // op.n_head_kv, axis=0) for a in (k, v))
    heads = q.reshape(len(q), op.n_head, -1).swapaxes(0, 1)
    share = softmax(heads @ k.swapaxes(1, 2) * np.float32(op.scale))
    out: Floats = (share @ v).swapaxes(0, 1).reshape(len(q), -1)
    return out
