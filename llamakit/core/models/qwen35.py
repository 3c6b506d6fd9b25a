"""Qwen 3.5, dense: gated delta nets, every fourth layer gated attention."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Activation, Mul, Node, Slice
from llamakit.core.models.blocks.delta_net import delta_net, read_delta, recurrent_layers
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import HeadNorms


class Qwen35(HeadNorms):
    arch = "qwen35"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen3_5ForCausalLM", "Qwen3_5ForConditionalGeneration")
    is_neox = True
    has_ffn_scales = True
    delta_gate: ClassVar[str] = "silu"

    def read_settings(self) -> None:
        super().read_settings()
        self.delta = read_delta(self.meta, self.hp.eps)
        self.is_recurrent = recurrent_layers(self.meta, self.hp.n_layer)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        normed = self.norm(x, w, "attn_norm")
        x = x + (self.remember(normed, w, i) if self.is_recurrent[i] else self.attention(normed, w, i))
        return x + self.feed_forward(self.norm(x, w, "post_attention_norm"), w, i)

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        """Each query head comes with a gate of its values."""
        n_head, dim = self.hp.heads[i], self.hp.head_dim
        n_kv = self.hp.heads_kv[i] * dim
        both = w.linear("attn_q", x, 2 * n_head * dim)
        q, gate = Slice(both, 0, dim, n_head), Slice(both, dim, dim, n_head)
        q_turned, k = self.heads(q, w.linear("attn_k", x, n_kv), w, i)
        attended = self.attend(q_turned, k, w.linear("attn_v", x, n_kv), w, i)
        return w.linear("attn_output", Mul(attended, Activation(gate, "sigmoid")), self.hp.n_embd)

    def remember(self, x: Node, w: Tensors, i: int) -> Node:
        m = self.delta
        mixed = w.linear("attn_qkv", x, 2 * m.key_width + m.value_width)
        gate = w.linear("attn_gate", x, m.value_width)
        beta, alpha = w.linear("ssm_beta", x, m.n_head_v), w.linear("ssm_alpha", x, m.n_head_v)
        y = delta_net(mixed, gate, beta, alpha, w, m, i, is_tiled=True, activation=self.delta_gate)
        return w.linear("ssm_out", y, self.hp.n_embd)
