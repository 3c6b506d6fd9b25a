"""MiniMax M3: M2 with norms by head, dense layers first, a shared expert, limits on gates and ups.

Its indexer picks blocks of keys in long contexts; here all keys are attended to.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.blocks.mixture import Routing
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import HeadNorms

LIMIT = 7.0  # of gates and ups, unless the file has another


class MiniMaxM3(HeadNorms, ExpertTransformer):
    arch = "minimax-m3"
    hf_names: ClassVar[tuple[str, ...]] = ("MiniMaxM3SparseForCausalLM", "MiniMaxM3SparseForConditionalGeneration")
    is_neox = True
    activation = "swiglu_oai"

    def read_settings(self) -> None:
        super().read_settings()
        self.w.pass_over("blk.*.indexer.*")
        self.limit = self.meta.section("llamakit").float("swiglu_limit", LIMIT, above=0)
        n_block = self.meta.int("attention.indexer.top_k", 0, min=0)
        self.n_exact = n_block * self.meta.int("attention.indexer.block_size", 1, min=1)

    def routing(self, i: int) -> Routing:
        return replace(super().routing(i), limit=self.limit)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        if self.is_dense(i):
            return feed_forward.gated(x, w, self.hp.ffs[i], self.activation, limit=self.limit)
        return super().feed_forward(x, w, i)

    def shared(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.gated(x, w, self.n_shared, self.activation, suffix="_shexp", limit=self.limit)
