"""Granite 3, dense and with experts: embedding, residuals, scores and logits scaled."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.llama import Llama
from llamakit.core.models.tensors import Tensors


class Granite(Llama):
    arch = "granite"
    hf_names: ClassVar[tuple[str, ...]] = ("GraniteForCausalLM",)
    has_ffn_scales = False

    def read_settings(self) -> None:
        super().read_settings()
        self.embedding_scale = self.meta.float("embedding_scale", 0.0) or 1.0
        self.residual_scale = self.meta.float("residual_scale", 0.0) or 1.0
        self.logit_scale = 1 / (self.meta.float("logit_scale", 0.0) or 1.0)
        self.is_turned = self.meta.bool("rope.scaling.finetuned", True)

    def embed(self) -> Node:
        return super().embed() * self.embedding_scale

    def rotation_of(self, i: int) -> Rotation | None:
        return self.rotation if self.is_turned else None

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        x = x + self.behind(self.attention(self.norm(x, w, "attn_norm"), w, i), w, "post_attention_norm")
        return x + self.behind(self.feed_forward(self.norm(x, w, "ffn_norm"), w, i), w, "post_ffw_norm")

    def behind(self, x: Node, w: Tensors, name: str) -> Node:
        """What is added: normed in HyperCLOVA X."""
        return (self.norm(x, w, name) if w.has(name) else x) * self.residual_scale

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        chosen = super().feed_forward(x, w, i)
        n_shared = self.meta.int("expert_shared_feed_forward_length", 0, min=0)
        if not self.hp.n_expert or not n_shared:
            return chosen
        return chosen + feed_forward.gated(x, w, n_shared, self.activation, suffix="_shexp")

    def head(self, x: Node) -> Node:
        return super().head(x) * self.logit_scale
