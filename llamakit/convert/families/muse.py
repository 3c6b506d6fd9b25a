"""Muse Glimmer, its text."""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.families.gemma import NORMS_AROUND
from llamakit.convert.family import Family, Keys, Named
from llamakit.convert.names import Names
from llamakit.convert.weight import Weight, constant


class MuseGlimmer(Family):
    """Heads are normed without weights and queries scaled: norms with the scale as weights do both."""

    arch = "muse-glimmer"
    hf_names: ClassVar[tuple[str, ...]] = ("MuseGlimmerForConditionalGeneration", "MuseGlimmerForCausalLM")
    model_types: ClassVar[tuple[str, ...]] = ("muse_glimmer", "muse_glimmer_text")
    turns_neighbours = True
    layer: ClassVar[Names] = {**NORMS_AROUND, "self_attn.gate_proj": "attn_gate"}

    def hparams(self) -> Keys:
        yield from super().hparams()
        c = self.config
        yield "final_logit_softcapping", c.float("final_logit_softcapping")
        yield "logit_scale", c.float("output_multiplier")
        yield "attention.sliding_window", c.int("sliding_window")
        yield "attention.sliding_window_pattern", self.window_pattern()

    def change(self, word: str, weight: Weight, i: int | None) -> Named:
        if word == "attn_q.weight":
            dim, scale = self.config.head_dim, self.config.float("qk_scale_factor")
            yield "attn_q_norm.weight", constant([scale] * dim, "scale of queries")
            yield "attn_k_norm.weight", constant([1.0] * dim, "ones")
        if i is not None and word.endswith("_norm.weight"):
            weight = weight.plus(1)
        yield from super().change(word, weight, i)
