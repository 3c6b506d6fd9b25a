"""Qwen 3, dense: Qwen 2 with a norm on every query and key head."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.attention import head_norm
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Qwen3(Transformer):
    arch = "qwen3"
    hf_names = ("Qwen3ForCausalLM",)
    is_neox = True
    has_ffn_scales = True

    def read_settings(self) -> None:
        self.w.pass_over("cls.output.weight", "cls.output.bias")  # of rerankers

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        q = head_norm(q, w, "attn_q_norm", self.hp.head_dim, self.hp.eps)
        k = head_norm(k, w, "attn_k_norm", self.hp.head_dim, self.hp.eps)
        return super().heads(q, k, w, i)
