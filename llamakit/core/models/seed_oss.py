"""Seed OSS: Qwen 2 in all but a name."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class SeedOss(Transformer):
    arch = "seed_oss"
    hf_names = ("SeedOssForCausalLM",)
    is_neox = True

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        x = x + self.attention(self.norm(x, w, "attn_norm"), w, i)
        return x + self.feed_forward(self.norm(x, w, "post_attention_norm"), w, i)
