"""Phi 1, 1.5 and 2: attention and feed-forward side by side, of one norm."""

from __future__ import annotations

from llamakit.core.graph.ops import LayerNorm, Node
from llamakit.core.models.starcoder2 import StarCoder2
from llamakit.core.models.tensors import Tensors


class Phi2(StarCoder2):
    arch = "phi2"
    hf_names = ("PhiForCausalLM",)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        normed = self.norm(x, w, "attn_norm")
        return x + self.attention(normed, w, i) + self.feed_forward(normed, w, i)

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        """In some checkpoints, heads are normed before they turn."""
        if w.has("attn_q_norm"):
            q, k = (self.head_norm(x, w, f"attn_{name}_norm") for x, name in ((q, "q"), (k, "k")))
        return super().heads(q, k, w, i)

    def head_norm(self, x: Node, w: Tensors, name: str) -> Node:
        dim = self.hp.head_dim
        return LayerNorm(x, w(name, dim), self.hp.eps, w.find(f"{name}.bias", dim))
