"""ModernBERT: norms before each part (but the first), rotation, two of three layers with a window, gated GELU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.encoder import Encoder
from llamakit.core.models.sliding_window import SlidingWindow
from llamakit.core.models.tensors import Tensors


class ModernBert(Encoder, SlidingWindow):
    arch = "modern-bert"
    hf_names = ("ModernBertModel", "ModernBertForMaskedLM", "ModernBertForSequenceClassification")
    has_layer_norm = True
    window_period = 3
    is_dense_first = True
    has_scaled_windows = False
    activation = "gelu_erf"
    activation_names: ClassVar[Mapping[str, str]] = {  # transformers' names are in the files
        "gelu": "gelu_erf", "gelu_python": "gelu_erf", "quick_gelu": "gelu_quick", "swish": "silu",
        **dict.fromkeys(("gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate"), "gelu"),
    }  # fmt: skip

    def window_of(self, i: int) -> int:
        """Half of the window lies before a token, half behind."""
        return super().window_of(i) and super().window_of(i) // 2 + 1

    def embed(self) -> Node:
        return self.norm(super().embed(), self.w, "token_embd_norm")

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        is_normed = i > 0 or w.has("attn_norm")
        x = x + self.attention(self.norm(x, w, "attn_norm") if is_normed else x, w, i)
        return x + self.feed_forward(self.norm(x, w, "ffn_norm"), w, i)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.gated_of_one(x, w, self.hp.ffs[i], self.activation)
