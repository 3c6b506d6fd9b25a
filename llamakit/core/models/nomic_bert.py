"""Nomic BERT: rotation in place of learned positions, SwiGLU."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.encoder import PostNormEncoder
from llamakit.core.models.tensors import Tensors


class NomicBert(PostNormEncoder):
    arch = "nomic-bert"
    hf_names: ClassVar[tuple[str, ...]] = ("NomicBertModel",)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.gated(x, w, self.hp.ffs[i])
