"""Phi 1, 1.5 and 2: attention and feed-forward side by side, of one norm."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.starcoder2 import StarCoder2
from llamakit.core.models.tensors import Tensors


class Phi2(StarCoder2):
    arch = "phi2"
    hf_names = ("PhiForCausalLM",)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        normed = self.norm(x, w, "attn_norm")
        return x + self.attention(normed, w, i) + self.feed_forward(normed, w, i)
