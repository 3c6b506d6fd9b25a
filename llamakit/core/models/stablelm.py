"""StableLM: a part of each head turns; with a norm for each head and, where there is one norm only, side by side."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.attention import own_head_norm
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class StableLM(Transformer):
    arch = "stablelm"
    hf_names = ("StableLmForCausalLM", "StableLMEpochForCausalLM", "LlavaStableLMEpochForCausalLM")
    is_neox = True
    has_layer_norm = True

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        normed = self.norm(x, w, "attn_norm")
        attended = x + self.attention(normed, w, i)
        return attended + self.feed_forward(self.norm(attended, w, "ffn_norm") if w.has("ffn_norm") else normed, w, i)

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        dim, eps = self.hp.head_dim, self.hp.eps
        if w.has("attn_q_norm"):
            q = own_head_norm(q, w, "attn_q_norm", dim, eps)
        if w.has("attn_k_norm"):
            k = own_head_norm(k, w, "attn_k_norm", dim, eps)
        return super().heads(q, k, w, i)
