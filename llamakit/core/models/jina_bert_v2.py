"""Jina BERT 2: distances in place of positions (ALiBi), gated GELU; whole rows of queries and keys normed, or not."""

from __future__ import annotations

from llamakit.core.graph.ops import LayerNorm, Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.encoder import PostNormEncoder
from llamakit.core.models.tensors import Tensors


class JinaBertV2(PostNormEncoder):
    arch = "jina-bert-v2"
    hf_names = ("JinaBertModel", "JinaBertForMaskedLM")
    max_bias = 8.0

    def rotation_of(self, i: int) -> Rotation | None:
        return None

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        return self.if_normed(q, w, "attn_q_norm"), self.if_normed(k, w, "attn_k_norm")

    def if_normed(self, x: Node, w: Tensors, name: str) -> Node:
        weight = w.find(name, x.width)
        return LayerNorm(x, weight, self.hp.eps, w.find(f"{name}.bias", x.width)) if weight else x

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        attended = self.norm(x + self.attention(x, w, i), w, "attn_output_norm")
        if w.has("attn_norm_2"):
            attended = self.norm(attended + x, w, "attn_norm_2")
        return self.norm(attended + self.feed_forward(attended, w, i), w, "layer_output_norm")

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        gated = feed_forward.gated if w.has("ffn_gate") else feed_forward.gated_of_one
        return gated(x, w, self.hp.ffs[i], "gelu_erf")
