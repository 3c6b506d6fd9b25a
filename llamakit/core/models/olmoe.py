"""OLMoE: q and k normed as whole rows, experts in every layer."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.mixture import mixture, read_routing
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Olmoe(Transformer):
    arch = "olmoe"
    hf_names = ("OlmoeForCausalLM",)
    is_neox = True

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        return super().heads(self.norm(q, w, "attn_q_norm"), self.norm(k, w, "attn_k_norm"), w, i)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return mixture(x, w, read_routing(self.meta, self.hp, is_normed=False))
