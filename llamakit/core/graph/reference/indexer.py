"""The indexer of sparse attention, in NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.ops.indexer import ChosenKeys
from llamakit.core.graph.reference.interpreter import Floats, Reference, formula


@formula(ChosenKeys)
def chosen_keys(run: Reference, op: ChosenKeys, q: Floats, k: Floats, weights: Floats) -> Floats:
    if op.layer in run.cache:
        k = np.concatenate([run.cache[op.layer][0], k])
    run.cache[op.layer] = k, k
    dots = np.maximum(q.reshape(len(q), op.n_head, -1) @ k.T, 0)  # (n_query, n_head, n_key)
    scores = (weights[:, :, None] * dots).sum(1)
    position = len(k) - len(q) + np.arange(len(q))
    ends = np.arange(op.pool - 1, len(k), op.pool)
    scores = np.where(ends > position[:, None], -np.inf, scores[:, ends])
    best = np.argsort(-scores, axis=1, kind="stable")[:, : op.top_k]
    pools = np.zeros((len(q), -(-32 * op.width // op.pool)), bool)
    np.put_along_axis(pools, best, True, axis=1)
    behind = np.arange(pools.shape[1]) == (position[:, None] + 1) // op.pool
    bits = np.repeat(pools | behind, op.pool, axis=1)[:, : 32 * op.width]
    return np.packbits(bits, axis=1, bitorder="little").view(np.float32)


def unpacked(chosen: Floats, n_key: int) -> npt.NDArray[np.bool_]:
    """(n_query, width) -> (n_query, n_key)"""
    bytes_ = np.ascontiguousarray(chosen, np.float32).view(np.uint8)
    return np.unpackbits(bytes_, axis=1, count=n_key, bitorder="little").astype(bool)
