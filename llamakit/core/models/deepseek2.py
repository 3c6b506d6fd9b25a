"""DeepSeek V2, V3 and R1, Kimi K2, GLM 4.7 Flash: latent attention, experts by groups behind dense layers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

from llamakit.core.graph.ops import Node, Rope, Tempered, Weight
from llamakit.core.graph.ops.attention import Attention
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks.latent import Latent, absorbed, expanded, separate, short_query
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.rope_settings import log_scale, read_log_scale, stretch
from llamakit.core.models.tensors import Tensors

VOCAB_OF_GLM_FLASH = 154880


class Deepseek2(ExpertTransformer):
    arch = "deepseek2"
    hf_names: ClassVar[tuple[str, ...]] = ("DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM", "KimiK2ForCausalLM")
    has_equal_scales: ClassVar[bool] = True  # YaRN's scale of one dimension is that of all, unless that is 1

    def read_settings(self) -> None:
        super().read_settings()
        meta, hp = self.meta, self.hp
        if self.n_vocab == VOCAB_OF_GLM_FLASH and not meta.int("expert_gating_func", 0):
            self.gating = "sigmoid"
        self.latent = Latent(
            n_head=hp.n_head,
            rank=meta.int("attention.kv_lora_rank", min=1, max=1 << 16),
            q_rank=meta.int("attention.q_lora_rank", 0, min=0, max=1 << 16),
            plain=(meta.int("attention.key_length_mla", 0, min=0) or hp.head_dim) - hp.n_rot,
            turned=hp.n_rot,
            value=meta.int("attention.value_length_mla", 0, min=0) or hp.head_dim_v,
            eps=meta.section("llamakit").float("latent_norm_epsilon", hp.eps, above=0, max=1),
        )

    def rotation_for(self, n_ctx: int) -> Rotation:
        rotation = super().rotation_for(n_ctx)
        ours = self.meta.section("llamakit")
        if rotation.yarn is not None and ours.has("rope.magnitude"):  # settings that llama.cpp's formula does not cover
            own = log_scale(stretch(self.meta), 1.0)
            self.scale = ours.float("attention.scale", above=0)
            return replace(rotation, yarn=replace(rotation.yarn, attn_factor=ours.float("rope.magnitude") / own))
        rotation, magnitude = read_log_scale(self.meta, rotation, self.has_equal_scales)
        self.scale = magnitude**2 / math.sqrt(self.latent.head_dim)
        return rotation

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        m = self.latent

        def turn(part: Node) -> Node:
            return Rope(part, m.turned, self.rotation)

        is_absorbed = w.has("attn_k_b")
        short = short_query(x, w, m)
        q, k, v = (absorbed if is_absorbed else separate)(x, w, m, turn, short)
        chosen = self.chosen(x, short, w, i) if short else None
        head_dim = k.width if is_absorbed else m.head_dim
        attended: Node = Attention(self.tempered(q), k, v, head_dim, i, self.scale, sinks=self.sinks(w), chosen=chosen)
        attended = expanded(attended, w, m) if is_absorbed else attended
        return w.linear("attn_output", self.gated(attended, x, w, i), self.hp.n_embd)

    def sinks(self, w: Tensors) -> Weight | None:
        """Scores without a value, one for each head."""
        return None

    def chosen(self, x: Node, short: Node, w: Tensors, i: int) -> Node | None:
        """The keys that attention sees, where not all; short is what queries come from."""
        return None

    def tempered(self, q: Node) -> Node:
        """Queries grow with the position, in Mistral Large 3."""
        scale = self.meta.float("attention.temperature_scale", 0.0)
        length = self.meta.int("attention.temperature_length", 0, min=0)
        return Tempered(q, scale, length) if scale and length else q
