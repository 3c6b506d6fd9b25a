"""MiniCPM 3: latent attention with keys and values for each head; embedding, residuals and head scaled."""

from __future__ import annotations

import math

from llamakit.core.graph.ops import Node, Rope, SelectRows
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.models.blocks.latent import Latent, separate
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer

EMBEDDING_SCALE, DEPTH_SCALE, BASE_WIDTH = 12.0, 1.4, 256


class MiniCPM3(Transformer):
    arch = "minicpm3"
    hf_names = ("MiniCPM3ForCausalLM",)
    is_neox = True

    def read_settings(self) -> None:
        hp, meta = self.hp, self.meta
        rank = meta.int("attention.kv_lora_rank", min=1, max=1 << 16)
        q_rank = meta.int("attention.q_lora_rank", 0, min=0, max=1 << 16)
        eps = meta.section("llamakit").float("latent_norm_epsilon", hp.eps, above=0, max=1)
        self.latent = Latent(hp.n_head, rank, q_rank, hp.head_dim - hp.n_rot, hp.n_rot, hp.head_dim_v, eps)
        self.embedding_scale = meta.float("embedding_scale", 0.0, min=0) or EMBEDDING_SCALE
        self.residual_scale = meta.float("residual_scale", 0.0, min=0) or DEPTH_SCALE / math.sqrt(hp.n_layer)
        self.logit_scale = meta.float("logit_scale", 0.0, min=0) or hp.n_embd / BASE_WIDTH  # logits are divided by it

    def embed(self) -> Node:
        return super().embed() * self.embedding_scale

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        x = x + self.attention(self.norm(x, w, "attn_norm"), w, i) * self.residual_scale
        return x + self.feed_forward(self.norm(x, w, "ffn_norm"), w, i) * self.residual_scale

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        m = self.latent
        q, k, v = separate(x, w, m, lambda part: Rope(part, m.turned, self.rotation))
        return w.linear("attn_output", Attention(q, k, v, m.head_dim, i, self.hp.scale), self.hp.n_embd)

    def head(self, x: Node) -> Node:
        normed = self.norm(SelectRows(x), self.w, "output_norm") * (1 / self.logit_scale)
        return self.w.linear("output" if self.w.has("output") else "token_embd", normed, self.n_vocab)
