"""Ling 2 and Ring 2: heads normed, a part of them turns, groups of experts, a shared expert."""

from __future__ import annotations

from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.transformer import HeadNorms


class BailingMoe2(HeadNorms, ExpertTransformer):
    arch = "bailingmoe2"
    hf_names = ("BailingMoeV2ForCausalLM",)
    is_neox = True
