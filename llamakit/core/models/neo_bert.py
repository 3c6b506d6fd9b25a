"""NeoBERT: Llama without causality, gate and up in one matrix."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.encoder import Encoder
from llamakit.core.models.tensors import Tensors


class NeoBert(Encoder):
    arch = "neo-bert"
    hf_names = ("NeoBERT", "NeoBERTLMHead", "NeoBERTForSequenceClassification")
    is_neox = False
    last_norm = "enc.output_norm"

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.gated_of_one(x, w, self.hp.ffs[i])
