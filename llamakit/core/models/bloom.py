"""BLOOM: a norm behind the embedding, distances in place of positions (ALiBi)."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.rotation import Rotation
from llamakit.core.models.starcoder2 import StarCoder2


class Bloom(StarCoder2):
    arch = "bloom"
    hf_names = ("BloomForCausalLM",)
    max_bias = 8.0

    def embed(self) -> Node:
        return self.norm(super().embed(), self.w, "token_embd_norm")

    def rotation_of(self, i: int) -> Rotation | None:
        return None
