"""Mistral 3 and 4: the text of Mistral Small 3, Pixtral, Ministral 3; and the one with pressed keys and experts."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.config import Config
from llamakit.convert.families.deepseek import DeepSeek2
from llamakit.convert.families.llama import Llama
from llamakit.convert.family import Family, Keys
from llamakit.convert.rotation import log_scale


class Mistral3(Llama):
    arch = "mistral3"
    hf_names: ClassVar[tuple[str, ...]] = ("Mistral3ForConditionalGeneration", "Ministral3ForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("mistral3", "ministral3")

    @classmethod
    def chosen(cls, config: Config) -> type[Family]:
        return Mistral4 if config.model_type == "mistral4" else cls

    def hparams(self) -> Keys:
        rope = self.config.rope
        has_multiplier = self.config.model_type == "ministral3" and rope.has("mscale_all_dim")
        for key, value in super().hparams():
            if key != "rope.scaling.attn_factor" or not has_multiplier:  # the multiplier says it
                yield key, value
        if has_multiplier:
            yield "rope.scaling.yarn_log_multiplier", rope.float("mscale_all_dim")
            factor, scale = rope.float("factor"), rope.float("mscale", default=1.0)
            if scale != 1:
                yield "rope.scaling.attn_factor", log_scale(factor, scale) / log_scale(factor, 1.0)
        if self.config.model_type == "ministral3" and rope.has("llama_4_scaling_beta"):
            yield "attention.temperature_scale", rope.float("llama_4_scaling_beta")


class Mistral4(DeepSeek2):
    arch = "mistral4"
    hf_names: ClassVar[tuple[str, ...]] = ("Mistral4ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("mistral4",)

    def hparams(self) -> Keys:
        """Queries grow with every so many positions."""
        yield from super().hparams()
        rope = self.config.rope
        if rope.has("llama_4_scaling_beta"):
            yield "attention.temperature_scale", rope.float("llama_4_scaling_beta")
            yield "attention.temperature_length", rope.int("original_max_position_embeddings")
