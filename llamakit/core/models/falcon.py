"""Falcon: attention and feed-forward side by side, of one norm (7B) or one each (40B, 180B); RW with ALiBi."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.starcoder2 import StarCoder2
from llamakit.core.models.tensors import Tensors


class Falcon(StarCoder2):
    arch = "falcon"
    hf_names = ("FalconForCausalLM", "RWForCausalLM")

    def read_settings(self) -> None:
        super().read_settings()
        self.max_bias = self.meta.section("llamakit").float("attention.max_alibi_bias", 0.0, min=0)

    def rotation_of(self, i: int) -> Rotation | None:
        return None if self.max_bias else super().rotation_of(i)

    def attend(self, q: Node, k: Node, v: Node, w: Tensors, i: int) -> Node:
        is_by_key = bool(self.max_bias)
        return Attention(
            q, k, v, self.hp.head_dim, i, self.hp.scale, max_bias=self.max_bias, is_bias_by_key=is_by_key
        )  # fmt: skip

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        if w.has("ffn_norm"):  # one after the other
            return super().layer(x, w, i)
        normed = self.norm(x, w, "attn_norm")
        other = self.norm(x, w, "attn_norm_2") if w.has("attn_norm_2") else normed
        return x + self.attention(other, w, i) + self.feed_forward(normed, w, i)
