"""Qwen 2 and 3, dense and mixture of experts."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.family import Family, Keys
from llamakit.convert.names import EXPERTS, LAYER, Names


class Qwen2(Family):
    arch = "qwen2"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen2ForCausalLM", "Qwen2Model", "KORMoForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("qwen2",)


class Qwen3(Qwen2):
    arch = "qwen3"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen3ForCausalLM", "Qwen3Model")
    model_types: ClassVar[tuple[str, ...]] = ("qwen3",)


class Qwen2Moe(Family):
    arch = "qwen2moe"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen2MoeForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("qwen2_moe",)
    layer: ClassVar[Names] = {**LAYER, **EXPERTS}
    is_normed = False  # whether the architecture makes the weights of the chosen experts sum to one

    def hparams(self) -> Keys:
        yield from super().hparams()
        if self.config.has("moe_intermediate_size"):
            yield "expert_feed_forward_length", self.config.int("moe_intermediate_size")
        if self.config.has("shared_expert_intermediate_size"):
            yield "expert_shared_feed_forward_length", self.config.int("shared_expert_intermediate_size")
        if self.config.bool("norm_topk_prob", default=False) and not self.is_normed:
            yield "expert_weights_norm", True

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        if self.is_normed and not self.config.bool("norm_topk_prob", default=True):
            yield "llamakit.expert_weights_norm", False


class Qwen3Moe(Qwen2Moe):
    arch = "qwen3moe"
    is_normed = True
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen3MoeForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_moe",)


class SeedOss(Family):
    arch = "seed_oss"
    hf_names: ClassVar[tuple[str, ...]] = ("SeedOssForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("seed_oss",)
    layer: ClassVar[Names] = {**LAYER, "post_attention_layernorm": "post_attention_norm"}
