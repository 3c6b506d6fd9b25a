"""Qwen 3, dense: Qwen 2 with a norm on every query and key head."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.models.transformer import HeadNorms


class Qwen3(HeadNorms):
    arch = "qwen3"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen3ForCausalLM",)
    is_neox = True
    has_ffn_scales = True

    def read_settings(self) -> None:
        self.w.pass_over("cls.output.weight", "cls.output.bias")  # of rerankers
