"""Baichuan: heads turn (7B), or scores fall with distance (13B); their layers tell which is which."""

from __future__ import annotations

from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.transformer import Transformer

LAYERS_OF_7B, LAYERS_OF_13B = 32, 40


class Baichuan(Transformer):
    arch = "baichuan"
    hf_names = ("BaichuanForCausalLM", "BaiChuanForCausalLM")

    def read_settings(self) -> None:
        self.max_bias = 8.0 if self.hp.n_layer == LAYERS_OF_13B else 0.0

    def rotation_of(self, i: int) -> Rotation | None:
        return self.rotation if self.hp.n_layer == LAYERS_OF_7B else None
