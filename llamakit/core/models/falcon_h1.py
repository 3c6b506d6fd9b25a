"""Falcon H1: attention and Mamba 2 side by side in every layer."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.mamba import mamba2, read_mamba
from llamakit.core.models.tensors import Tensors, uses_all_tensors
from llamakit.core.models.transformer import Transformer


class FalconH1(Transformer):
    arch = "falcon-h1"
    hf_names = ("FalconH1ForCausalLM",)
    is_neox = True

    def read_settings(self) -> None:
        self.shape = read_mamba(self.meta, self.hp.eps)
        if not uses_all_tensors(self.meta):
            self.w.pass_over("rope_freqs.weight", "blk.*.attn_output.bias")

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        normed = self.norm(x, w, "attn_norm")
        x = x + self.attention(normed, w, i) + mamba2(normed, w, self.shape, i)
        return x + self.feed_forward(self.bare_norm(x, w, "ffn_norm"), w, i)
