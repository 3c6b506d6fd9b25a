"""Hunyuan VL, text: Hunyuan, dense; `rope.scaling.alpha` stretches the base of its rotation."""

from __future__ import annotations

from dataclasses import replace

from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.hunyuan_dense import HunyuanDense


class HunyuanVL(HunyuanDense):
    arch = "hunyuan_vl"
    hf_names = ("HunYuanVLForConditionalGeneration",)

    def rotation_for(self, n_ctx: int) -> Rotation:
        rotation, dim = super().rotation_for(n_ctx), self.hp.head_dim
        alpha = self.meta.float("rope.scaling.alpha", 0.0)
        return replace(rotation, base=rotation.base * alpha ** (dim / (dim - 2))) if alpha > 0 else rotation
