"""DeepSeek V3.2: V3's layers, with an indexer that picks the keys to attend to in long contexts."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.indexer import Chooser, read_indexer
from llamakit.core.models.deepseek2 import Deepseek2
from llamakit.core.models.tensors import Tensors


class Deepseek32(Deepseek2):
    arch = "deepseek32"
    hf_names: ClassVar[tuple[str, ...]] = ("DeepseekV32ForCausalLM",)
    has_equal_scales = False
    has_ffn_scales = True
    has_expert_scales = True
    indexes_by_halves: ClassVar[bool] = True  # the indexer's heads turn halves, the others neighbours

    def read_settings(self) -> None:
        super().read_settings()
        self.indexer = read_indexer(self.meta, len(self.hp.heads), self.hp.n_rot, is_neox=self.indexes_by_halves)

    def begin(self, n_ctx: int) -> None:
        super().begin(n_ctx)
        self.chooser = Chooser(self.indexer, self.rotation, n_ctx)

    def chosen(self, x: Node, short: Node, w: Tensors, i: int) -> Node | None:
        return self.chooser.chosen(x, short, w, i)
