"""Step 3.5: windows by layer, half of the dimensions turn in the others, a gate for each head, experts by sigmoid."""

from __future__ import annotations

from dataclasses import replace

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.blocks.attention import sigmoid_gate
from llamakit.core.models.expert_transformer import SMALLEST_LIMIT, ExpertTransformer
from llamakit.core.models.rope_settings import read_rotation
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import HeadNorms


class Step35(HeadNorms, ExpertTransformer, SlidingWindow):
    arch = "step35"
    hf_names = ("Step3p5ForCausalLM",)
    is_neox = True
    are_optional = True
    gating = "sigmoid"
    window_period = 1

    def rotation_for(self, n_ctx: int) -> Rotation:
        """Of layers without a window; the file has factors for all dimensions."""
        n_rot, factors = self.hp.n_rot // 2, self.rope_factors(n_ctx)
        return read_rotation(self.meta, n_rot, is_neox=self.is_neox, factors=factors and factors[: n_rot // 2])

    def local_rotation_for(self, n_ctx: int) -> Rotation:
        return replace(super().local_rotation_for(n_ctx), factors=None)

    def gated(self, attended: Node, x: Node, w: Tensors, i: int) -> Node:
        return sigmoid_gate(attended, x, w, self.hp.heads[i]) if w.has("attn_gate") else attended

    def is_dense(self, i: int) -> bool:
        return not self.w.layer(i).has("ffn_gate_inp")

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        limit = self.shared_limits[i]
        if not self.is_dense(i) or limit <= SMALLEST_LIMIT:
            return super().feed_forward(x, w, i)
        return feed_forward.gated(x, w, self.hp.ffs[i], self.clamped, limit=limit)
