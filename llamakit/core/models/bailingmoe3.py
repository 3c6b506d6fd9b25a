"""Ling 3: delta nets that forget no more than a bound, some layers of latent attention behind gates; experts."""

from __future__ import annotations

from llamakit.core.graph.ops import Activation, Add, Mul, Node, Rope
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks.attention import sigmoid_gate
from llamakit.core.models.blocks.delta_net import DeltaShape, kimi_delta
from llamakit.core.models.blocks.latent import Latent, absorbed, expanded
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.rope_settings import has_sections
from llamakit.core.models.tensors import Tensors


class BailingMoe3(ExpertTransformer):
    arch = "bailingmoe3"
    hf_names = ("BailingMoeV3ForCausalLM",)

    def read_settings(self) -> None:
        super().read_settings()
        meta, hp = self.meta, self.hp
        n_key = meta.int("attention.key_length_mla", min=hp.n_rot + 1, max=1024)
        self.latent = Latent(
            n_head=hp.n_head,
            rank=meta.int("attention.kv_lora_rank", min=1, max=1 << 16),
            q_rank=meta.int("attention.q_lora_rank", 0, min=0, max=1 << 16),
            plain=n_key - hp.n_rot,
            turned=hp.n_rot,
            value=meta.int("attention.value_length_mla", min=1, max=1024),
            eps=hp.eps,
        )
        dim, kernel = meta.int("kda.head_dim", min=1, max=256), meta.int("ssm.conv_kernel", min=2, max=64)
        self.delta = DeltaShape(hp.n_head, hp.n_head, dim, dim, kernel, hp.eps)
        self.bound = meta.float("kda.gate_lower_bound")
        self.w.pass_over("output.scale", "blk.*.attn_gate.scale", "blk.*.attn_output.scale")

    def rotation_for(self, n_ctx: int) -> Rotation:
        self.is_neox = has_sections(self.meta)
        return super().rotation_for(n_ctx)

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        m, d = self.latent, self.delta
        if not self.hp.heads_kv[i]:
            rate = Add(w.linear("ssm_f_a", x, d.key_width), w("ssm_dt.bias", d.key_width))
            forget = Activation(Mul(rate, w.bare("ssm_a", d.n_head_v)), "sigmoid") * self.bound
            return kimi_delta(x, w, d, i, forget, w.linear("ssm_g_a", x, d.value_width))
        q, k, v = absorbed(x, w, m, lambda part: Rope(part, m.turned, self.rotation))
        attended = expanded(Attention(q, k, v, k.width, i, m.head_dim**-0.5), w, m)
        return w.linear("attn_output", sigmoid_gate(attended, x, w, m.n_head), self.hp.n_embd)
