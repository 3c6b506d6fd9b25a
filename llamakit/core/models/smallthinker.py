"""SmallThinker: the router reads what comes into the layer; experts keep positive gates; every fourth layer is full."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks.mixture import mixture
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors

WINDOW, PERIOD = 4096, 4


class SmallThinker(ExpertTransformer, SlidingWindow):
    arch = "smallthinker"
    hf_names = ("SmallThinkerForCausalLM",)
    is_neox = True
    activation = "relu"
    is_normed = True
    window_period = PERIOD
    is_dense_first = True

    def read_settings(self) -> None:
        super().read_settings()
        self.window = WINDOW if self.window else 0

    def rotation_of(self, i: int) -> Rotation | None:
        return self.rotation if not self.window or i % PERIOD else None

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        router = w.linear("ffn_gate_inp", x, self.hp.n_expert)
        x = x + self.attention(self.norm(x, w, "attn_norm"), w, i)
        return x + mixture(self.norm(x, w, "ffn_norm"), w, self.routing(i), router)
