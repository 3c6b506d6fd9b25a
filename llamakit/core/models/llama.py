"""Llama 1 to 3 and its kin, dense and mixture of experts: Mistral, Mixtral, SmolLM, TinyLlama, Yi."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.models.base import Decoder
from llamakit.core.models.blocks import (
    attention,
    attention_specs,
    feed_forward,
    feed_forward_specs,
    mixture,
    mixture_specs,
)
from llamakit.core.models.tensors import Spec, Tensors, vector


class Llama(Decoder):
    arch = "llama"
    hf_names: ClassVar[tuple[str, ...]] = ("LlamaForCausalLM", "MistralForCausalLM", "MixtralForCausalLM")

    def layer_specs(self, i: int) -> Iterator[Spec]:
        yield from vector("attn_norm", self.hp.n_embd)
        yield from attention_specs(self.hp)
        yield from vector("ffn_norm", self.hp.n_embd)
        yield from mixture_specs(self.hp) if self.hp.n_expert else feed_forward_specs(self.hp)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        x = x + attention(self.norm(x, w.attn_norm), w, i, self.hp, self.rotation)
        return x + self.feed_forward(self.norm(x, w.ffn_norm), w)

    def feed_forward(self, x: Node, w: Tensors) -> Node:
        return mixture(x, w, self.hp) if self.hp.n_expert else feed_forward(x, w)
