"""OLMoE: q and k normed as whole rows, experts in every layer."""

from __future__ import annotations

from llamakit.core.graph.ops import Clamp, Node
from llamakit.core.models.blocks.attention import qkv
from llamakit.core.models.blocks.mixture import mixture, read_routing
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Olmoe(Transformer):
    arch = "olmoe"
    hf_names = ("OlmoeForCausalLM",)
    is_neox = True

    def qkv(self, x: Node, w: Tensors, i: int) -> tuple[Node, Node, Node]:
        """Clamped, if at all, once normed."""
        q, k, v = qkv(x, w, self.hp.of_layer(i))
        q, k = self.norm(q, w, "attn_q_norm"), self.norm(k, w, "attn_k_norm")
        clamp = self.meta.float("attention.clamp_kqv", 0.0)
        return (Clamp(q, clamp), Clamp(k, clamp), Clamp(v, clamp)) if clamp else (q, k, v)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return mixture(x, w, read_routing(self.meta, self.hp, is_normed=False))
