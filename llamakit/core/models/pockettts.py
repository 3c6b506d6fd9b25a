"""Pocket TTS, the language model: norms with biases, no other bias."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class PocketTTS(Transformer):
    arch = "pockettts"
    hf_names = ("PocketTTSForConditionalGeneration",)
    has_layer_norm = True

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.plain(x, w, self.hp.ffs[i], "gelu")
