"""ERNIE 4.5, dense: Llama in all but name."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.models.tensors import uses_all_tensors
from llamakit.core.models.transformer import Transformer


class Ernie45(Transformer):
    arch = "ernie4_5"
    hf_names: ClassVar[tuple[str, ...]] = ("Ernie4_5_ForCausalLM", "Ernie4_5ForCausalLM")

    def read_settings(self) -> None:
        super().read_settings()
        if not uses_all_tensors(self.meta):
            self.w.pass_over("blk.*.attn_output.bias")
