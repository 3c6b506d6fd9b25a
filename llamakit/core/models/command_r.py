"""Command R and R+: attention and feed-forward side by side, of one norm; logits scaled."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.attention import own_head_norm
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class CommandR(Transformer):
    arch = "command-r"
    hf_names: ClassVar[tuple[str, ...]] = ("CohereForCausalLM",)
    has_layer_norm = True

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        normed = self.norm(x, w, "attn_norm")
        return x + self.attention(normed, w, i) + self.feed_forward(normed, w, i)

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        if w.has("attn_q_norm"):  # R+
            q = own_head_norm(q, w, "attn_q_norm", self.hp.head_dim, self.hp.eps)
            k = own_head_norm(k, w, "attn_k_norm", self.hp.head_dim, self.hp.eps)
        return super().heads(q, k, w, i)

    def head(self, x: Node) -> Node:
        scale = self.meta.float("logit_scale", 0.0)
        return super().head(x) * scale if scale else super().head(x)
