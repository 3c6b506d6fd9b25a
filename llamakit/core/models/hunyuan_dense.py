"""Hunyuan, dense: heads are normed after they turned."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks.attention import head_norm
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class HunyuanDense(Transformer):
    arch = "hunyuan-dense"
    hf_names: ClassVar[tuple[str, ...]] = ("HunYuanDenseV1ForCausalLM",)
    is_neox = True

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        q, k = super().heads(q, k, w, i)
        q = head_norm(q, w, "attn_q_norm", self.hp.head_dim, self.hp.eps)
        return q, head_norm(k, w, "attn_k_norm", self.hp.head_dim, self.hp.eps)
