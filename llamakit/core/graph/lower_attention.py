"""Records of attention: heads are normed and turned, keys and values stored, then every query reads the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from llamakit.core.graph.fused import RopeAttention
from llamakit.core.graph.ops import alibi_slopes
from llamakit.core.graph.plan import pitch
from llamakit.core.graph.program import Step
from llamakit.core.kernels import attention
from llamakit.core.kernels.rope import RopeStore

if TYPE_CHECKING:
    from llamakit.core.graph.lower import Lowering


def lower_attention(lowering: Lowering, node: RopeAttention) -> list[Step]:
    m, cache = lowering.memory, lowering.memory.cache
    k_type, v_type, dim, dim_v = cache.type_k, cache.type_v, node.head_dim, node.head_dim_v
    q_norm, k_norm, sinks = (m.weights.vector(w) if w else None for w in (node.q_norm, node.k_norm, node.sinks))
    slopes = np.array(alibi_slopes(node.max_bias, node.n_head), np.float32) if node.max_bias else None
    q, k, v = (lowering.at(n) + 4 * offset for n, offset in zip((node.q, node.k, node.v), node.offsets, strict=True))
    shape: dict[str, Any] = {
        "batch": m.batch, "keys": cache.keys[node.layer], "values": cache.values[node.layer], "n_head": node.n_head,
        "n_head_kv": node.n_head_kv, "head_dim": dim, "head_dim_v": dim_v,
        "key_bytes": k_type.key_bytes(dim), "value_bytes": v_type.value_bytes(dim_v),
    }  # fmt: skip
    rotation = node.rotation
    stored = shape if node.has_own_keys else shape | {"n_head_kv": 0}
    store = RopeStore(
        q=q, k=k, v=v, q_pitch=pitch(node.q), k_pitch=pitch(node.k), v_pitch=pitch(node.v), q_norm=q_norm,
        k_norm=k_norm, angles=m.angles(rotation) if rotation else None, n_rot=rotation.n_rot if rotation else 0,
        is_neox=int(rotation.is_neox) if rotation else 0, eps=node.eps, **stored,
    )  # fmt: skip
    attend = attention.Attention(
        q=q, out=lowering.at(node), slopes=slopes, sinks=sinks, scratch=None, scratch_pitch=0,
        q_pitch=pitch(node.q), out_pitch=pitch(node), window=node.window, is_chunked=int(node.is_chunked),
        is_causal=int(node.is_causal), scale=node.scale, softcap=node.softcap, **shape,
    )  # fmt: skip
    rows = attention.tile_rows(node.n_head, node.n_head_kv, lowering.rows_of(node), m.n_threads)
    types = f"{k_type.name},{v_type.name}"
    n_bytes = attention.scratch_bytes(m.n_ctx, dim, dim_v, rows)
    name = f"attention.attend[{types},{rows},{attention.tile_columns(rows)}]"
    return [
        Step(f"rope.rope_store[{types}]", store),
        lowering.with_scratch(name, attend, n_bytes, "scratch_pitch", 1),
    ]
