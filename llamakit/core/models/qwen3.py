"""Qwen 3, dense: Qwen 2 with a norm on every query and key head."""

from __future__ import annotations

from collections.abc import Iterator

from llamakit.core.models.blocks import head_norm_specs
from llamakit.core.models.llama import Llama
from llamakit.core.models.tensors import Spec, matrix


class Qwen3(Llama):
    arch = "qwen3"
    hf_names = ("Qwen3ForCausalLM",)
    is_neox = True

    def specs(self) -> Iterator[Spec]:
        yield from super().specs()
        n_labels = len(self.meta.strs("classifier.output_labels", [])) or 1
        yield from matrix("cls.output", n_labels, self.hp.n_embd, is_optional=True)  # of rerankers

    def layer_specs(self, i: int) -> Iterator[Spec]:
        yield from super().layer_specs(i)
        yield from head_norm_specs(self.hp)
