"""PLM: latent attention with keys and values for each head, feed-forward without gate, squaring what is positive."""

from __future__ import annotations

from llamakit.core.graph.ops import Node, Rope
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.blocks.latent import Latent, separate
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Plm(Transformer):
    arch = "plm"
    hf_names = ("PLMForCausalLM",)

    def read_settings(self) -> None:
        hp, rank = self.hp, self.meta.int("attention.kv_lora_rank", min=1, max=1 << 16)
        self.latent = Latent(hp.n_head, rank, 0, hp.head_dim - hp.n_rot, hp.n_rot, hp.head_dim_v, hp.eps)

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        m = self.latent
        q, k, v = separate(x, w, m, lambda part: Rope(part, m.turned, self.rotation))
        return w.linear("attn_output", Attention(q, k, v, m.head_dim, i, self.hp.scale), self.hp.n_embd)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.plain(x, w, self.hp.ffs[i], "relu2")
