"""GLM 4: the dense ones of 2024 and 2025, and the mixture of experts."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.family import Family, Keys
from llamakit.convert.names import EXPERTS, LAYER, Names
from llamakit.convert.rotation import n_rotated

SIGMOID = 2


class Glm(Family):
    arch = "chatglm"
    hf_names: ClassVar[tuple[str, ...]] = ("GlmForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("glm",)
    layer: ClassVar[Names] = {**LAYER, "mlp.gate_up_proj": "ffn_up"}

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "rope.dimension_count", n_rotated(self.config, default=0.5)


class Glm4(Glm):
    arch = "glm4"
    hf_names: ClassVar[tuple[str, ...]] = ("Glm4ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("glm4",)
    layer: ClassVar[Names] = {
        **LAYER,
        "mlp.gate_up_proj": "ffn_up",
        "post_self_attn_layernorm": "post_attention_norm",
        "post_mlp_layernorm": "post_ffw_norm",
    }


class Glm4Moe(Family):
    arch = "glm4moe"
    hf_names: ClassVar[tuple[str, ...]] = ("Glm4MoeForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("glm4_moe",)
    layer: ClassVar[Names] = {
        **LAYER,
        **EXPERTS,
        "post_attention_layernorm": "post_attention_norm",
        "eh_proj": "nextn.eh_proj",
        "enorm": "nextn.enorm",
        "hnorm": "nextn.hnorm",
        "embed_tokens": "nextn.embed_tokens",
        "shared_head.head": "nextn.shared_head_head",
        "shared_head.norm": "nextn.shared_head_norm",
    }

    @property
    def n_predict_layers(self) -> int:
        """Layers that foretell further tokens, as far as the checkpoint has them."""
        n = self.config.n_layer
        return sum(f"model.layers.{n + k}.eh_proj.weight" in self.checkpoint for k in range(8))

    @property
    def n_layer(self) -> int:
        return self.config.n_layer + self.n_predict_layers

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "rope.dimension_count", n_rotated(c, default=0.5)
        yield "expert_feed_forward_length", c.int("moe_intermediate_size")
        yield "expert_shared_count", c.int("n_shared_experts")
        yield "leading_dense_block_count", c.int("first_k_dense_replace")
        yield "expert_gating_func", SIGMOID
        yield "expert_weights_scale", c.float("routed_scaling_factor")
        yield "expert_weights_norm", c.bool("norm_topk_prob")
        if self.n_predict_layers:
            yield "nextn_predict_layers", self.n_predict_layers
