"""DeepSeek V3.2: V3's layers. Its indexer picks the keys to attend to in long contexts; here all of them are."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.models.deepseek2 import Deepseek2


class Deepseek32(Deepseek2):
    arch = "deepseek32"
    hf_names: ClassVar[tuple[str, ...]] = ("DeepseekV32ForCausalLM",)
    has_equal_scales = False
    has_ffn_scales = True
    has_expert_scales = True

    def read_settings(self) -> None:
        super().read_settings()
        self.w.pass_over("blk.*.indexer.*")
