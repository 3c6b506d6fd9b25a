"""GLM 4: the dense ones of 2024 and 2025, and the mixture of experts."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from llamakit.convert.families.nextn import NEXTN, Foretelling
from llamakit.convert.families.settings import n_dense
from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import EXPERTS, LAYER, Names
from llamakit.convert.rotation import n_rotated
from llamakit.convert.weight import Array, Weight

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


class Glm4V(Foretelling, Glm4):
    """The text part. By several axes GGUF turns halves of a head, the checkpoint neighbours."""

    hf_names: ClassVar[tuple[str, ...]] = ("Glm4vForConditionalGeneration", "GlmOcrForConditionalGeneration")
    model_types: ClassVar[tuple[str, ...]] = ("glm4v", "glm_ocr")
    layer: ClassVar[Names] = {**Glm4.layer, **NEXTN}

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield from self.foretelling_keys()

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word.startswith(("attn_q.", "attn_k.")) and self.config.rope.has("mrope_section"):
            weight = self._by_halves(weight)
        return super().change(word, weight, i)

    def _by_halves(self, weight: Weight) -> Weight:
        dim, n_turned = self.config.head_dim, n_rotated(self.config, default=0.5)
        order = [*range(0, n_turned, 2), *range(1, n_turned, 2), *range(n_turned, dim)]

        def move(rows: Array) -> Array:
            return rows.reshape(-1, dim, *rows.shape[1:])[:, order].reshape(rows.shape)

        return weight.moved("neighbours to halves", move)


class Glm4Moe(Foretelling):
    arch = "glm4moe"
    hf_names: ClassVar[tuple[str, ...]] = ("Glm4MoeForCausalLM", "Glm4vMoeForConditionalGeneration")
    model_types: ClassVar[tuple[str, ...]] = ("glm4_moe", "glm4v_moe")
    rotated_part = 0.5  # of a head, where the config does not say
    layer: ClassVar[Names] = {
        **LAYER,
        **EXPERTS,
        "post_attention_layernorm": "post_attention_norm",
        **NEXTN,
    }

    @cached_property
    def n_predict_layers(self) -> int:
        """As many as the checkpoint has."""
        n = self.config.n_layer
        return sum(f"model.layers.{n + k}.eh_proj.weight" in self.checkpoint for k in range(8))

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "rope.dimension_count", n_rotated(c, default=self.rotated_part)
        yield "expert_feed_forward_length", c.int("moe_intermediate_size")
        yield "expert_shared_count", c.int("n_shared_experts")
        yield "leading_dense_block_count", n_dense(c, default=0)
        yield "expert_gating_func", SIGMOID
        yield "expert_weights_scale", c.float("routed_scaling_factor")
        yield "expert_weights_norm", c.bool("norm_topk_prob")
        yield from self.foretelling_keys()


class Solar(Glm4Moe):
    """Solar Open: whole heads turn, unless the config says otherwise."""

    hf_names: ClassVar[tuple[str, ...]] = ("SolarOpenForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("solar_open",)
    rotated_part = 1.0
