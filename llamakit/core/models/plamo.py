"""PLaMo 1: attention and feed-forward side by side, of one norm."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Plamo(Transformer):
    arch = "plamo"
    hf_names = ("PlamoForCausalLM",)
    is_neox = True

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        normed = self.norm(x, w, "attn_norm")
        return x + self.attention(normed, w, i) + self.feed_forward(normed, w, i)
