"""Ling (BailingMoe) 1 and 2, and Sarvam."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from llamakit.convert.families.llama_kin import ThreeInOne
from llamakit.convert.families.nextn import NEXTN
from llamakit.convert.families.settings import n_dense
from llamakit.convert.family import GATINGS, SCORE_FUNCTIONS, Family, Keys, Named
from llamakit.convert.names import EXPERTS, LAYER, WHOLE, Names
from llamakit.convert.rotation import n_rotated
from llamakit.convert.weight import Weight

ATTENTION: Names = {
    "attention.query_key_value": "attn_qkv",
    "attention.dense": "attn_output",
    "attention.query_layernorm": "attn_q_norm",
    "attention.key_layernorm": "attn_k_norm",
}


class BailingMoe(ThreeInOne):
    """The head may have columns that are normed when they are used: they go over normed."""

    arch = "bailingmoe"
    hf_names: ClassVar[tuple[str, ...]] = ("BailingMoeForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("bailing_moe",)
    layer: ClassVar[Names] = {**LAYER, **EXPERTS, **ATTENTION}
    whole: ClassVar[Names] = {**WHOLE, "word_embeddings": "token_embd"}

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "rope.dimension_count", c.head_dim
        yield "leading_dense_block_count", n_dense(c)
        yield "vocab_size", c.int("vocab_size")
        yield "expert_feed_forward_length", c.int("moe_intermediate_size")
        yield "expert_weights_scale", 1.0
        yield "expert_shared_count", c.int("num_shared_experts")
        yield "expert_weights_norm", c.bool("norm_topk_prob")

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word == "output.weight" and self.config.bool("norm_head", default=False):
            weight = weight.computed(
                "/ norm of columns", lambda array: array / (np.linalg.norm(array, axis=0, keepdims=True) + 1e-7)
            )
        return super().change(word, weight, i)


class BailingMoe2(Family):
    arch = "bailingmoe2"
    hf_names: ClassVar[tuple[str, ...]] = ("BailingMoeV2ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("bailing_moe_v2",)
    layer: ClassVar[Names] = {
        **LAYER,
        **EXPERTS,
        **ATTENTION,
        **NEXTN,
        "mlp.gate.expert_bias": "exp_probs_b.bias",
        "final_layernorm": "layer_output_norm",
    }
    whole: ClassVar[Names] = BailingMoe.whole
    rotated_part = 0.5  # of a head, where the config does not say

    @property
    def n_layer(self) -> int:
        return self.config.n_layer + self.config.int("num_nextn_predict_layers", default=0)

    def n_turned(self) -> int:
        return n_rotated(self.config, default=self.rotated_part)

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        n_ff, n_shared = c.int("moe_intermediate_size"), c.int("num_shared_experts")
        yield "rope.dimension_count", self.n_turned()
        yield "leading_dense_block_count", n_dense(c)
        yield "vocab_size", c.int("vocab_size")
        yield "expert_feed_forward_length", n_ff
        n_wide = c.int("moe_shared_expert_intermediate_size", default=n_ff * n_shared)
        yield "expert_shared_feed_forward_length", n_wide
        yield "expert_weights_scale", c.float("routed_scaling_factor")
        yield "expert_shared_count", n_shared
        yield "expert_weights_norm", c.bool("norm_topk_prob")
        if c.has("num_nextn_predict_layers"):
            yield "nextn_predict_layers", c.int("num_nextn_predict_layers")
        if not c.has(*SCORE_FUNCTIONS):
            yield "expert_gating_func", GATINGS["sigmoid"]


class Sarvam(BailingMoe2):
    """Whole heads turn; the biases of the choice of experts are taken about their mean."""

    hf_names: ClassVar[tuple[str, ...]] = ("SarvamMoEForCausalLM", "modeling_sarvam_moe.SarvamMoEForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("sarvam_moe",)

    def n_turned(self) -> int:
        return self.config.head_dim

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word == "exp_probs_b.bias":
            weight = weight.computed("- mean", lambda array: array - array.mean())
        return super().change(word, weight, i)
