"""BitNet b1.58: Llama with norms in front of both output projections; its weights are -1, 0 and 1 times a scale."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Glu, Node
from llamakit.core.models.blocks.feed_forward import times
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class BitNet(Transformer):
    arch = "bitnet"
    hf_names: ClassVar[tuple[str, ...]] = ("BitnetForCausalLM",)
    is_neox = True
    has_ffn_scales = True

    def gated(self, attended: Node, x: Node, w: Tensors, i: int) -> Node:
        return self.norm(attended, w, "attn_sub_norm")

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        n_ff = self.hp.ffs[i]
        gate, up = (times(w.matrix(f"ffn_{name}", n_ff, x.width), x, has_scales=True) for name in ("gate", "up"))
        hidden = self.norm(Glu(gate, up, self.activation), w, "ffn_sub_norm")
        return w.linear("ffn_down", hidden, x.width)
