"""Records of attention to summaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamakit.core.graph.ops.compressed import CompressedAttention, Pooled
from llamakit.core.graph.plan import pitch
from llamakit.core.graph.program import Step
from llamakit.core.kernels import compressed
from llamakit.core.kernels.rope import RopeStore
from llamakit.errors import ModelError

if TYPE_CHECKING:
    from llamakit.core.graph.lower.lowering import Lowering


def lower_pooled(low: Lowering, node: Pooled) -> list[Step]:
    check(node.n)
    memory = low.memory.cache.states[node.state]
    return [Step("compressed.pool", compressed.Pool(
        batch=low.memory.batch, states=memory, state_pitch=memory.shape[1], x=low.at(node.x), score=low.at(node.score),
        place=low.memory.weights.rows(node.place), out=low.at(node), pitch=pitch(node.x), out_pitch=pitch(node),
        n=node.n, ratio=node.ratio, n_halves=node.x.width // node.n,
    ))]  # fmt: skip


def lower_compressed(low: Lowering, node: CompressedAttention) -> list[Step]:
    """Keys and summaries are stored as two heads of keys without values."""
    m, cache, dim = low.memory, low.memory.cache, node.head_dim
    check(dim)
    if node.n_head > compressed.MOST_HEADS:
        raise ModelError(f"attention to summaries has kernels for at most {compressed.MOST_HEADS} heads")
    shape: dict[str, Any] = {
        "batch": m.batch, "keys": cache.keys[node.layer], "values": cache.values[node.layer], "n_head_kv": 2,
        "head_dim": dim, "head_dim_v": 0, "key_bytes": cache.type_k.key_bytes(dim),
        "value_bytes": cache.type_v.value_bytes(0),
    }  # fmt: skip
    keys = low.at(node.keys)
    store = RopeStore(
        q=keys, k=keys, v=keys, q_pitch=0, k_pitch=pitch(node.keys), v_pitch=pitch(node.keys), q_norm=None, k_norm=None,
        angles=None, n_rot=0, is_neox=0, eps=0.0, n_head=0, **shape,
    )  # fmt: skip
    attend = compressed.CompressedAttention(
        q=low.at(node.q), out=low.at(node), sinks=m.weights.vector(node.sinks), q_pitch=pitch(node.q),
        chosen=low.at(node.chosen) if node.chosen else None, chosen_pitch=pitch(node.chosen) if node.chosen else 0,
        out_pitch=pitch(node), n_head=node.n_head, window=node.window, ratio=node.ratio, scale=node.scale, **shape,
    )  # fmt: skip
    types = f"{cache.type_k.name},{cache.type_v.name}"
    return [Step(f"rope.rope_store[{types}]", store), Step(f"compressed.attend[{cache.type_k.name}]", attend)]


def check(n: int) -> None:
    if n % 16 or n > compressed.WIDEST:
        raise ModelError(f"summaries of {n} numbers have no kernel: a multiple of 16, at most {compressed.WIDEST}")
