"""Granite 4: Granite whose layers without key heads are Mamba 2."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.mamba import mamba2, read_mamba
from llamakit.core.models.granite import Granite
from llamakit.core.models.tensors import Tensors


class GraniteHybrid(Granite):
    arch = "granitehybrid"
    hf_names = ("GraniteMoeHybridForCausalLM",)

    def read_settings(self) -> None:
        super().read_settings()
        self.shape = read_mamba(self.meta, self.hp.eps)

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        return super().attention(x, w, i) if self.hp.heads_kv[i] else mamba2(x, w, self.shape, i)
