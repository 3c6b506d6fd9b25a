"""Records of attention: heads are normed and turned, keys and values stored, then every query reads the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from llamakit.core.graph.fused import RopeAttention
from llamakit.core.graph.ops.attention import KeepSource, SourceAttention, alibi_by_key, alibi_slopes
from llamakit.core.graph.plan import pitch
from llamakit.core.graph.program import Step
from llamakit.core.kernels import attention
from llamakit.core.kernels.kv_cells import BLOCK
from llamakit.core.kernels.rope import RopeStore

if TYPE_CHECKING:
    from llamakit.core.graph.lower.lowering import Lowering


def lower_attention(lowering: Lowering, node: RopeAttention) -> list[Step]:
    m, cache = lowering.memory, lowering.memory.cache
    k_type, v_type, dim, dim_v = cache.type_k, cache.type_v, node.head_dim, node.head_dim_v
    q_norm, k_norm, sinks = (m.weights.vector(w) if w else None for w in (node.q_norm, node.k_norm, node.sinks))
    by_key = node.is_bias_by_key
    slopes = np.array(alibi_slopes(node.max_bias, node.n_head), np.float32) if node.max_bias and not by_key else None
    bias = bias_by_distance(lowering, node) if node.distances else bias_by_key(lowering, node) if by_key else None
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
        bias=bias, bias_zero=m.n_ctx, is_bias_by_key=int(by_key),
        part=attention.BEHIND if node.is_behind_source else attention.ALL,
        chosen=lowering.at(node.chosen) if node.chosen else None, chosen_pitch=pitch(node.chosen) if node.chosen else 0,
        q=q, out=lowering.at(node), slopes=slopes, sinks=sinks, scratch=None, scratch_pitch=0,
        q_pitch=pitch(node.q), out_pitch=pitch(node), window=node.window, is_chunked=int(node.is_chunked),
        is_causal=int(node.is_causal), scale=node.scale, softcap=node.softcap, **shape,
    )  # fmt: skip
    return [Step(f"rope.rope_store[{k_type.name},{v_type.name}]", store), attend_step(lowering, node, attend)]


def attend_step(lowering: Lowering, node: RopeAttention | SourceAttention, attend: attention.Attention) -> Step:
    m, cache = lowering.memory, lowering.memory.cache
    is_few = lowering.capacity.is_few  # of many sequences, one token or little more of each
    n_tokens, n_threads = (1, 1) if is_few else (lowering.rows_of(node), m.n_threads)
    rows = attention.tile_rows(node.n_head, node.n_head_kv, n_tokens, n_threads)
    n_bytes = attention.scratch_bytes(m.n_ctx, node.head_dim, node.head_dim_v, rows)
    name = f"attention.attend[{cache.type_k.name},{cache.type_v.name},{rows},{attention.tile_columns(rows)}]"
    return lowering.with_scratch(name, attend, n_bytes, "scratch_pitch", 1)


def bias_by_distance(lowering: Lowering, node: RopeAttention) -> npt.NDArray[np.float32]:
    """For keys from n_ctx behind a query to a block beyond n_ctx ahead.   -> (n_head, 2 n_ctx + 64)"""
    assert node.distances is not None and node.buckets is not None
    n_ctx = lowering.memory.n_ctx
    buckets = node.buckets.of(np.arange(-n_ctx, n_ctx + BLOCK))
    return np.ascontiguousarray(lowering.memory.weights.numbers_of(node.distances)[buckets].T, np.float32)


def bias_by_key(lowering: Lowering, node: RopeAttention) -> npt.NDArray[np.float32]:
    """Laid out as the one by distance, of which it has the part from 0 on.   -> (n_head, 2 n_ctx + 64)"""
    n_ctx = lowering.memory.n_ctx
    gains = alibi_by_key(node.max_bias, node.n_head, n_ctx + BLOCK) * np.float32(node.scale)
    return np.pad(gains, ((0, 0), (n_ctx, 0)))


def lower_source(lowering: Lowering, node: KeepSource | SourceAttention) -> list[Step]:
    """What the encoder leaves for the decoder is stored like any keys and values, and read by all."""
    m, cache = lowering.memory, lowering.memory.cache
    k_type, v_type = cache.type_k, cache.type_v
    shape: dict[str, Any] = {
        "batch": m.batch, "keys": cache.keys[node.layer], "values": cache.values[node.layer],
        "n_head_kv": node.n_head_kv, "head_dim": node.head_dim, "head_dim_v": node.head_dim_v,
        "key_bytes": k_type.key_bytes(node.head_dim), "value_bytes": v_type.value_bytes(node.head_dim_v),
    }  # fmt: skip
    if isinstance(node, KeepSource):
        store = RopeStore(
            q=None, k=lowering.at(node.k), v=lowering.at(node.v), q_pitch=0, k_pitch=pitch(node.k),
            v_pitch=pitch(node.v), q_norm=None, k_norm=None, angles=None, n_rot=0, is_neox=0, eps=0.0, n_head=0,
            **shape,
        )  # fmt: skip
        copied = [lowering.copy(node, node.x)] if id(node) in lowering.plan.copies else []
        return [*copied, Step(f"rope.rope_store[{k_type.name},{v_type.name}]", store)]
    attend = attention.Attention(
        q=lowering.at(node.q), out=lowering.at(node), slopes=None, sinks=None, bias=None, bias_zero=0,
        is_bias_by_key=0, scratch=None,
        scratch_pitch=0, q_pitch=pitch(node.q), out_pitch=pitch(node), window=0, is_chunked=0, is_causal=0,
        chosen=None, chosen_pitch=0, part=attention.SOURCE, scale=node.scale, softcap=0.0, n_head=node.n_head, **shape,
    )  # fmt: skip
    return [attend_step(lowering, node, attend)]
