"""Ministral 3 and Mistral Small 3.1+: Llama whose queries grow with the position, beyond the trained context."""

from __future__ import annotations

from llamakit.core.graph.ops import Node, Tempered
from llamakit.core.models.llama import Llama
from llamakit.core.models.rope_settings import original_context
from llamakit.core.models.tensors import Tensors


class Mistral3(Llama):
    arch = "mistral3"
    hf_names = ("Mistral3ForConditionalGeneration", "Ministral3ForCausalLM")

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        q, k = super().heads(q, k, w, i)
        scale = self.meta.float("attention.temperature_scale", 0.0)
        return Tempered(q, scale, original_context(self.meta)) if scale else q, k
