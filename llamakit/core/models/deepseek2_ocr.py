"""DeepSeek OCR, text: DeepSeek MoE 3B, whose heads turn whole, at a fixed base."""

from __future__ import annotations

from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.expert_transformer import ExpertTransformer

BASE = 10000.0


class Deepseek2Ocr(ExpertTransformer):
    arch = "deepseek2-ocr"
    hf_names = ("DeepseekOCRForCausalLM", "DeepseekOCR2ForCausalLM", "UnlimitedOCRForCausalLM")
    may_be_zero = ("rope.dimension_count",)  # of latent attention, which it does not have

    def rotation_for(self, n_ctx: int) -> Rotation:
        return Rotation(self.hp.head_dim, BASE, is_neox=True)
