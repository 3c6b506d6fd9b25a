"""Hunyuan A13B: heads are normed after they turned, experts beside a shared one."""

from __future__ import annotations

from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.hunyuan_dense import HunyuanDense


class HunyuanMoe(HunyuanDense, ExpertTransformer):
    arch = "hunyuan-moe"
    hf_names = ("HunYuanMoEV1ForCausalLM",)
    is_normed = True
