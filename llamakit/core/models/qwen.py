"""Qwen 1: the metadata's feed-forward length counts gate and up together."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Qwen(Transformer):
    arch = "qwen"
    hf_names = ("QWenLMHeadModel",)
    is_neox = True

    def qkv(self, x: Node, w: Tensors, i: int) -> tuple[Node, Node, Node]:
        n_q, n_kv = self.hp.n_head * self.hp.head_dim, self.hp.n_head_kv * self.hp.head_dim
        whole = w.matrix("attn_qkv", 3 * self.hp.n_embd, x.width)
        return whole.part(0, n_q)(x), whole.part(n_q, n_kv)(x), whole.part(n_q + n_kv, n_kv)(x)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.gated(x, w, self.hp.ffs[i] // 2)
