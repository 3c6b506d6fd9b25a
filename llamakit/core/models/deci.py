"""DeciLM, Llama Nemotron 51B and Ultra: layers may lack attention, or have one matrix in its place, or lack all."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.llama import Llama
from llamakit.core.models.tensors import Tensors


class Deci(Llama):
    arch = "deci"
    hf_names = ("DeciLMForCausalLM",)
    has_ffn_scales = False

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        if not self.hp.ffs[i]:
            w.pass_over("*")
            return x
        if self.hp.heads[i]:
            normed = self.norm(x, w, "attn_norm")
            is_linear = not self.hp.heads_kv[i]
            x = x + (w.linear("attn_output", normed, x.width) if is_linear else self.attention(normed, w, i))
        return x + self.feed_forward(self.norm(x, w, "ffn_norm"), w, i)
