"""GPT-2: learned positions, norms with biases, feed-forward without gate."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Embed, Node, Positions
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Gpt2(Transformer):
    arch = "gpt2"
    hf_names: ClassVar[tuple[str, ...]] = ("GPT2LMHeadModel",)
    activation = "gelu"
    has_layer_norm = True

    def embed(self) -> Node:
        table = self.w("position_embd", self.hp.n_ctx_train, self.hp.n_embd)
        return super().embed() + Embed(Positions(), table)

    def rotation_of(self, i: int) -> Rotation | None:
        return None

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.plain(x, w, self.hp.ffs[i], self.activation)
