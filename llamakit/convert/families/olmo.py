"""OLMo 1 to 3 and OLMoE."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.family import Family, Keys
from llamakit.convert.names import ATTENTION, EXPERTS, FEED_FORWARD, LAYER, Names


class Olmo(Family):
    arch = "olmo"
    hf_names: ClassVar[tuple[str, ...]] = ("OlmoForCausalLM", "OLMoForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("olmo",)
    turns_neighbours = True

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "attention.layer_norm_epsilon", 1e-5
        if self.config.has("clip_qkv"):
            yield "attention.clamp_kqv", self.config.float("clip_qkv")


class Olmo2(Family):
    """OLMo 2, and OLMo 3: with windows."""

    arch = "olmo2"
    hf_names: ClassVar[tuple[str, ...]] = ("Olmo2ForCausalLM", "Olmo3ForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("olmo2", "olmo3")
    layer: ClassVar[Names] = {
        **ATTENTION,
        **FEED_FORWARD,
        "post_attention_layernorm": "post_attention_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        if self.config.has("sliding_window"):
            yield "attention.sliding_window", self.config.int("sliding_window")
            every_fourth = [(i + 1) % 4 != 0 for i in range(self.n_layer)]
            yield "attention.sliding_window_pattern", self.window_pattern() or every_fourth


class Olmoe(Family):
    arch = "olmoe"
    hf_names: ClassVar[tuple[str, ...]] = ("OlmoeForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("olmoe",)
    layer: ClassVar[Names] = {**LAYER, **EXPERTS}

    def hparams(self) -> Keys:
        yield from super().hparams()
        if self.config.has("clip_qkv"):
            yield "attention.clamp_kqv", self.config.float("clip_qkv")
        if self.config.bool("norm_topk_prob", default=False):
            yield "expert_weights_norm", True
