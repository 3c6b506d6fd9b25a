"""BLOOM: a norm behind the embedding, distances in place of positions (ALiBi)."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.starcoder2 import StarCoder2
from llamakit.core.models.tensors import Tensors


class Bloom(StarCoder2):
    arch = "bloom"
    hf_names = ("BloomForCausalLM",)
    max_bias = 8.0

    def embed(self) -> Node:
        return self.norm(super().embed(), self.w, "token_embd_norm")

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        """In some models what is added to is what was normed."""
        if not self.meta.section("llamakit").bool("residual_of_norm", False):
            return super().layer(x, w, i)
        normed = self.norm(x, w, "attn_norm")
        normed = self.norm(normed + self.attention(normed, w, i), w, "ffn_norm")
        return normed + self.feed_forward(normed, w, i)

    def rotation_of(self, i: int) -> Rotation | None:
        return None
