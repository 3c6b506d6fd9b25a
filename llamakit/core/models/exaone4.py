"""EXAONE 4: norms behind each part, heads normed; where there are windows, only those layers turn their heads."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import HeadNorms

LAYERS_OF_32B = 64


class Exaone4(HeadNorms, SlidingWindow):
    arch = "exaone4"
    hf_names = ("Exaone4ForCausalLM",)
    is_neox = True
    window_period = 4
    default_window = 4096

    def read_settings(self) -> None:
        super().read_settings()
        pattern = self.meta.mapping.get(self.meta.full_key("attention.sliding_window_pattern"))
        self.turns_locally = isinstance(pattern, list) or self.hp.n_layer == LAYERS_OF_32B
        if not self.turns_locally:
            self.has_window = [False] * self.hp.n_layer

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        x = x + self.norm(self.attention(x, w, i), w, "post_attention_norm")
        return x + self.norm(self.feed_forward(x, w, i), w, "post_ffw_norm")

    def rotation_of(self, i: int) -> Rotation | None:
        if not self.turns_locally:
            return self.rotation
        return self.local_rotation if self.has_window[i] else None
