"""Mamba 2: layers of a state space with heads, and nothing else."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.base import Decoder
from llamakit.core.models.blocks.mamba import mamba2, read_mamba
from llamakit.core.models.tensors import Tensors


class Mamba2(Decoder):
    arch = "mamba2"
    hf_names = ("Mamba2ForCausalLM",)
    may_be_zero = ("attention.head_count", "attention.head_count_kv", "feed_forward_length")

    def read_settings(self) -> None:
        self.shape = read_mamba(self.meta, self.hp.eps)

    def rotation_for(self, n_ctx: int) -> Rotation:
        return Rotation(2, 10000.0)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        return x + mamba2(self.norm(x, w, "attn_norm"), w, self.shape, i)
