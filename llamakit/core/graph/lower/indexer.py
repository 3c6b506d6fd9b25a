"""Records of the indexer: its keys are stored like those of attention, then scored, then the best are marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamakit.core.graph.ops.indexer import ChosenKeys
from llamakit.core.graph.plan import pitch
from llamakit.core.graph.program import Step
from llamakit.core.kernels import indexer
from llamakit.core.kernels.rope import RopeStore

if TYPE_CHECKING:
    from llamakit.core.graph.lower.lowering import Lowering


def lower_chosen(low: Lowering, node: ChosenKeys) -> list[Step]:
    m, cache, dim = low.memory, low.memory.cache, node.head_dim
    shape: dict[str, Any] = {
        "batch": m.batch, "keys": cache.keys[node.layer], "values": cache.values[node.layer], "n_head_kv": 1,
        "head_dim": dim, "head_dim_v": 0, "key_bytes": cache.type_k.key_bytes(dim),
        "value_bytes": cache.type_v.value_bytes(0),
    }  # fmt: skip
    k = low.at(node.k)
    store = RopeStore(
        q=k, k=k, v=k, q_pitch=0, k_pitch=pitch(node.k), v_pitch=pitch(node.k), q_norm=None, k_norm=None,
        angles=None, n_rot=0, is_neox=0, eps=0.0, n_head=0, **shape,
    )  # fmt: skip
    n = node.n_positions
    scores = low.buffer("index scores", 4 * n * low.rows_of(node))
    score = indexer.Score(
        q=low.at(node.q), weights=low.at(node.weights), scores=scores, q_pitch=pitch(node.q),
        weight_pitch=pitch(node.weights), score_pitch=n, n_head=node.n_head, n_all=node.n_all, **shape,
    )  # fmt: skip
    mark = indexer.Mark(
        batch=m.batch, scores=scores, out=low.at(node), score_pitch=n, out_pitch=pitch(node), top_k=node.top_k,
        pool=node.pool, n_all=node.n_all,
    )  # fmt: skip
    return [
        Step(f"rope.rope_store[{cache.type_k.name},{cache.type_v.name}]", store),
        Step(f"indexer.score[{cache.type_k.name}]", score),
        Step("indexer.mark", mark),
    ]
