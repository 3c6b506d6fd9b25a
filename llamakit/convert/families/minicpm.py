"""MiniCPM 1 to 3: sums, embeddings and logits are scaled."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.deepseek import LATENT_EPS
from llamakit.convert.family import Family, Keys
from llamakit.convert.names import LATENT, LAYER, Names
from llamakit.convert.rotation import log_scale

# Keys of the scales, and what version 3 has for them, which GGUF's readers know.
MINICPM3_SCALES = {
    "embedding_scale": ("scale_emb", 12.0),
    "residual_scale": ("scale_depth", 1.4),
    "logit_scale": ("dim_model_base", 256.0),
}


class Scaled(Family):
    arch = ""

    def scales(self) -> dict[str, float]:
        c = self.config
        return {
            "embedding_scale": c.float("scale_emb"),
            "residual_scale": c.float("scale_depth") / c.n_layer**0.5,
            "logit_scale": c.n_embd / c.float("dim_model_base"),
        }


class MiniCPM(Scaled):
    arch = "minicpm"
    hf_names: ClassVar[tuple[str, ...]] = ("MiniCPMForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("minicpm",)
    turns_neighbours = True

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield from self.scales().items()


class MiniCPM3(Scaled):
    """With keys and values of all heads pressed into one vector. Its scales are keys only where they are others."""

    arch = "minicpm3"
    hf_names: ClassVar[tuple[str, ...]] = ("MiniCPM3ForCausalLM",)
    model_types: ClassVar[tuple[str, ...]] = ("minicpm3",)
    layer: ClassVar[Names] = {**LAYER, **LATENT}

    @property
    def n_key(self) -> int:
        return self.config.int("qk_nope_head_dim") + self.config.int("qk_rope_head_dim")

    def hparams(self) -> Keys:
        c = self.config
        for key, value in super().hparams():
            if key != "rope.freq_base" or value != 10000:
                yield key, value
        yield "vocab_size", c.int("vocab_size")
        if c.has("q_lora_rank"):
            yield "attention.q_lora_rank", c.int("q_lora_rank")
        yield "attention.kv_lora_rank", c.int("kv_lora_rank")
        yield "attention.key_length", self.n_key
        yield "attention.value_length", c.int("v_head_dim", default=c.n_embd // c.n_head)
        for ours, theirs in MINICPM3_SCALES.items():
            if c.float(theirs[0], default=theirs[1]) != theirs[1]:
                yield ours, self.scales()[ours]
        yield "rope.dimension_count", c.int("qk_rope_head_dim")
        whole = c.rope.float("mscale_all_dim", default=0.0)
        if whole and c.rope.has("factor"):
            yield "attention.scale", log_scale(c.rope.float("factor"), whole) ** 2 / self.n_key**0.5

    def foreign_keys(self) -> Keys:
        yield from super().foreign_keys()
        if self.config.float("rms_norm_eps") != LATENT_EPS:
            yield "llamakit.latent_norm_epsilon", LATENT_EPS
