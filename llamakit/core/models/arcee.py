"""Arcee: a Llama whose feed-forward has no gate, and squares what is positive."""

from __future__ import annotations

from collections.abc import Iterator

from llamakit.core.graph.ops import Node, SquaredRelu
from llamakit.core.models.blocks import attention_specs
from llamakit.core.models.llama import Llama
from llamakit.core.models.tensors import Spec, Tensors, matrix, vector


class Arcee(Llama):
    arch = "arcee"
    hf_names = ("ArceeForCausalLM",)

    def layer_specs(self, i: int) -> Iterator[Spec]:
        yield from vector("attn_norm", self.hp.n_embd)
        yield from attention_specs(self.hp)
        yield from vector("ffn_norm", self.hp.n_embd)
        yield from matrix("ffn_up", self.hp.n_ff, self.hp.n_embd)
        yield from matrix("ffn_down", self.hp.n_embd, self.hp.n_ff)

    def feed_forward(self, x: Node, w: Tensors) -> Node:
        out: Node = w.ffn_down.unscaled(SquaredRelu(w.ffn_up.unscaled(x)))
        return out
