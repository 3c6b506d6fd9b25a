"""Falcon: attention and feed-forward side by side, of one norm (7B) or one each (40B, 180B)."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.starcoder2 import StarCoder2
from llamakit.core.models.tensors import Tensors


class Falcon(StarCoder2):
    arch = "falcon"
    hf_names = ("FalconForCausalLM", "RWForCausalLM")

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        if w.has("ffn_norm"):  # one after the other
            return super().layer(x, w, i)
        normed = self.norm(x, w, "attn_norm")
        other = self.norm(x, w, "attn_norm_2") if w.has("attn_norm_2") else normed
        return x + self.attention(other, w, i) + self.feed_forward(normed, w, i)
