"""Mixtures of experts with names of their own: Arctic, Grok, GroveMoE, SmallThinker, Maple."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.llama import Llama
from llamakit.convert.families.settings import copied
from llamakit.convert.family import GATINGS, Family, Keys
from llamakit.convert.names import EXPERTS, LAYER, MIXTRAL_EXPERTS, Names
from llamakit.convert.rotation import n_rotated


class Arctic(Llama):
    """Experts beside a dense feed-forward, each with a norm."""

    arch = "arctic"
    hf_names: ClassVar[tuple[str, ...]] = ("ArcticForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("arctic",)
    layer: ClassVar[Names] = {
        **LAYER,
        **MIXTRAL_EXPERTS,
        "post_attention_layernorm": "ffn_norm_exps",
        "residual_layernorm": "ffn_norm",
        "residual_mlp.w1": "ffn_gate",
        "residual_mlp.w2": "ffn_down",
        "residual_mlp.w3": "ffn_up",
    }


class Grok(Family):
    """Grok 1 in two layouts, and 2."""

    arch = "grok"
    hf_names: ClassVar[tuple[str, ...]] = ("GrokForCausalLM", "Grok1ForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("grok-1", "grok", "git")
    activation = "gelu"
    layer: ClassVar[Names] = {
        **LAYER,
        **MIXTRAL_EXPERTS,
        "pre_attn_norm": "attn_norm",
        "post_attn_norm": "attn_output_norm",
        "pre_moe_norm": "ffn_norm",
        "post_moe_norm": "post_ffw_norm",
        "rms_norm": "attn_norm",
        "rms_norm_1": "attn_output_norm",
        "rms_norm_2": "ffn_norm",
        "rms_norm_3": "layer_output_norm",
        "multi_head_attention.query": "attn_q",
        "multi_head_attention.key": "attn_k",
        "multi_head_attention.value": "attn_v",
        "multi_head_attention.linear": "attn_output",
        "router": "ffn_gate_inp",
        "moe.*.linear": "ffn_gate_exps",
        "moe.*.linear_1": "ffn_down_exps",
        "moe.*.linear_v": "ffn_up_exps",
    }
    whole: ClassVar[Names] = {**Family.whole, "in_out_embed": "token_embd", "rms_norm": "output_norm"}

    def renamed(self, name: str) -> str | None:
        renamed = super().renamed(name)
        return renamed and renamed.removeprefix("transformer.").replace("decoder_layer.", "layers.")

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "attn_logit_softcapping", c.float("attn_logit_softcapping", default=30.0)
        yield "router_logit_softcapping", c.float("router_logit_softcapping", default=30.0)
        if c.float("final_logit_softcapping", default=0.0):
            yield "final_logit_softcapping", c.float("final_logit_softcapping")
        if c.str("rope_type", default="") in ("yarn", "original"):
            yield "rope.scaling.type", "yarn"
            yield from copied(
                c,
                {
                    "rope.scaling.factor": "scaling_factor",
                    "rope.scaling.original_context_length": "original_max_position_embeddings",
                    "rope.scaling.yarn_ext_factor": "extrapolation_factor",
                    "rope.scaling.yarn_attn_factor": "attn_factor",
                    "rope.scaling.yarn_beta_fast": "beta_fast",
                    "rope.scaling.yarn_beta_slow": "beta_slow",
                },
            )
        yield "attention.output_scale", c.float("attn_output_multiplier", default=c.head_dim**-0.5)
        yield from copied(
            c,
            {
                "expert_feed_forward_length": "moe_intermediate_size",
                "attention.temperature_length": "attn_temperature_len",
                "embedding_scale": "embedding_multiplier_scale",
                "logit_scale": "output_multiplier_scale",
            },
        )


class GroveMoe(Family):
    """Pairs of experts share a small one. Its numbers are not in the config."""

    arch = "grovemoe"
    hf_names: ClassVar[tuple[str, ...]] = ("GroveMoeForCausalLM", "modeling_grove_moe.GroveMoeForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("grove_moe",)
    layer: ClassVar[Names] = {
        **LAYER,
        **EXPERTS,
        **{f"mlp.chunk_experts.*.{word}_proj": f"ffn_{word}_chexps" for word in ("gate", "up", "down")},
        "mlp.expert_bias": "",
        "mlp.gate.expert_bias": "",
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield from copied(self.config, {"expert_feed_forward_length": "moe_intermediate_size"})
        yield "expert_chunk_feed_forward_length", self.config.int("head_dim", default=128)
        yield "experts_per_group", 2
        yield "expert_group_scale", 0.05


class SmallThinker(Family):
    arch = "smallthinker"
    hf_names: ClassVar[tuple[str, ...]] = ("SmallThinkerForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("smallthinker",)
    activation = "relu"
    layer: ClassVar[Names] = {
        **LAYER,
        "block_sparse_moe.primary_router": "ffn_gate_inp",
        **{f"block_sparse_moe.experts.*.{word}": f"ffn_{word}_exps" for word in ("gate", "up", "down")},
        **{f"block_sparse_moe.{word}": f"ffn_{word}" for word in ("gate", "up", "down")},
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield from copied(
            c,
            {
                "expert_count": "moe_num_primary_experts",
                "expert_used_count": "moe_num_active_primary_experts",
                "expert_feed_forward_length": "moe_ffn_hidden_size",
                "feed_forward_length": "moe_ffn_hidden_size",
            },
        )
        is_softmax = c.bool("moe_primary_router_apply_softmax", default=False)
        yield "expert_gating_func", GATINGS["softmax" if is_softmax else "sigmoid"]
        windows = c.ints("sliding_window_layout", default=[])
        if any(windows):
            yield "attention.sliding_window", c.int("sliding_window_size")
            if windows != [int(i % 4 != 0) for i in range(self.n_layer)]:
                yield "attention.sliding_window_pattern", [kind != 0 for kind in windows]


class Maple(Family):
    """Gates and ups of experts are kept within 7."""

    arch = "maple"
    hf_names: ClassVar[tuple[str, ...]] = ("MapleForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("maple",)
    layer: ClassVar[Names] = {**LAYER, **EXPERTS}
    limit = 7.0

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "vocab_size", c.int("vocab_size")
        yield "rope.dimension_count", n_rotated(c)
        yield "attention.sliding_window", c.int("sliding_window")
        yield "attention.sliding_window_pattern", self.window_pattern()
        yield "expert_feed_forward_length", c.int("moe_intermediate_size")
        yield "swiglu_clamp_exp", [self.limit] * self.n_layer
