"""LFM 2 with experts behind dense layers."""

from __future__ import annotations

from llamakit.core.models.lfm2 import Lfm2


class Lfm2Moe(Lfm2):
    arch = "lfm2moe"
    hf_names = ("Lfm2MoeForCausalLM",)
    gating = "sigmoid"
    has_shared = False

    def is_dense(self, i: int) -> bool:
        return i < self.n_dense
