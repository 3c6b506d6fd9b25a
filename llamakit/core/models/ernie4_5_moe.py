"""ERNIE 4.5 with experts in every n-th layer behind the dense ones."""

from __future__ import annotations

from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.tensors import uses_all_tensors


class Ernie45Moe(ExpertTransformer):
    arch = "ernie4_5-moe"
    hf_names = ("Ernie4_5_MoeForCausalLM",)
    is_normed = True
    shows_dense_layers = True

    def read_settings(self) -> None:
        super().read_settings()
        if not uses_all_tensors(self.meta):
            self.w.pass_over("blk.*.attn_output.bias")
        self.step = self.meta.int("interleave_moe_layer_step", min=1)

    def is_dense(self, i: int) -> bool:
        return super().is_dense(i) or (i + 1) % self.step != 0
