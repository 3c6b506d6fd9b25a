"""Kimi Linear: delta nets with a decay for every key, some layers of latent attention without rotation; experts."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.models.blocks.delta_net import DeltaShape, decay, kimi_delta, through_two
from llamakit.core.models.blocks.latent import Latent, absorbed, expanded, separate, short_query
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.hparams import MOST_HEADS
from llamakit.core.models.tensors import Tensors


class KimiLinear(ExpertTransformer):
    arch = "kimi-linear"
    hf_names: ClassVar[tuple[str, ...]] = ("KimiLinearForCausalLM",)
    gating = "sigmoid"
    is_normed: ClassVar[bool] = True

    def read_settings(self) -> None:
        super().read_settings()
        meta, hp = self.meta, self.hp
        n_key = meta.int("attention.key_length_mla", min=hp.n_rot, max=1024)
        n_value = meta.int("attention.value_length_mla", min=1, max=1024)
        rank = meta.int("attention.kv_lora_rank", min=1, max=1 << 16)
        q_rank = meta.int("attention.q_lora_rank", 0, min=0, max=1 << 16)
        self.latent = Latent(hp.n_head, rank, q_rank, n_key - hp.n_rot, hp.n_rot, n_value, hp.eps)
        n_head = meta.section("llamakit").int("kda.head_count", hp.n_head, min=1, max=MOST_HEADS)
        dim, kernel = meta.int("kda.head_dim", min=1, max=256), meta.int("ssm.conv_kernel", min=2, max=64)
        self.delta = DeltaShape(n_head, n_head, dim, dim, kernel, hp.eps)
        self.w.pass_over("output.scale")

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        if not self.hp.heads_kv[i]:
            d = self.delta
            forget = decay(through_two(x, w, "ssm_f", d.n_key, d.key_width), w, d.n_head_v)
            return kimi_delta(x, w, d, i, forget, through_two(x, w, "ssm_g", d.n_key, d.value_width))
        m = self.latent
        is_absorbed = w.has("attn_k_b")
        short = short_query(x, w, m)
        q, k, v = (absorbed if is_absorbed else separate)(x, w, m, lambda part: part, short)
        chosen = self.chosen(x, short, w, i) if short else None
        head_dim = k.width if is_absorbed else m.head_dim
        attended: Node = Attention(q, k, v, head_dim, i, m.head_dim**-0.5, chosen=chosen)
        attended = expanded(attended, w, m) if is_absorbed else attended
        return w.linear("attn_output", self.gated(attended, x, w, i), self.hp.n_embd)

    def chosen(self, x: Node, short: Node, w: Tensors, i: int) -> Node | None:
        """The keys that attention sees; None where it sees all."""
        return None
