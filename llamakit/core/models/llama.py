"""Llama 1 to 3 and its kin, dense and mixture of experts: Mistral, Mixtral, SmolLM, TinyLlama, Yi."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.mixture import mixture, read_routing
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Llama(Transformer):
    arch = "llama"
    hf_names: ClassVar[tuple[str, ...]] = ("LlamaForCausalLM", "MistralForCausalLM", "MixtralForCausalLM")
    has_ffn_scales = True

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        if not self.hp.n_expert:
            return super().feed_forward(x, w, i)
        return mixture(x, w, read_routing(self.meta, self.hp, is_normed=True, has_scales=self.has_ffn_scales))
