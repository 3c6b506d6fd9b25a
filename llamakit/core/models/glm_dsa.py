"""GLM 5: DeepSeek V3.2's layers, of which some see the keys that the indexer of an earlier one has picked."""

from __future__ import annotations

from llamakit.core.models.deepseek32 import Deepseek32


class GlmDsa(Deepseek32):
    arch = "glm-dsa"
    hf_names = ("GlmMoeDsaForCausalLM",)
    gating = "sigmoid"
    indexes_by_halves = False
