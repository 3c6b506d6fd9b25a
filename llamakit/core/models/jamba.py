"""Jamba: Mamba layers, some of attention without rotation between them; dense feed-forward or experts."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks.mamba import mamba, read_mamba
from llamakit.core.models.blocks.mixture import mixture, read_routing
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Jamba(Transformer):
    arch = "jamba"
    hf_names = ("JambaForCausalLM",)

    def read_settings(self) -> None:
        self.shape = read_mamba(self.meta, self.hp.eps)

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        return super().attention(x, w, i) if self.hp.heads_kv[i] else mamba(x, w, self.shape, i)

    def rotation_of(self, i: int) -> Rotation | None:
        return None

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        if not w.has("ffn_gate_inp"):
            return super().feed_forward(x, w, i)
        return mixture(x, w, read_routing(self.meta, self.hp, is_normed=False))
