"""An architecture of one's own, for --arch-file: the formula, and how a checkpoint becomes a file.

Lumen is made up: attention and a gated feed-forward stand beside each other behind one norm, and the embedding is
multiplied by a number of config.json.
"""

from __future__ import annotations

from typing import ClassVar

from llamakit.convert.family import Family, Keys
from llamakit.core.graph.ops import Node, Scale
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Lumen(Transformer):
    """The formula: what differs from the nearest relative."""

    arch = "lumen"  # general.architecture of its files
    is_neox = True  # halves of a head turn together, as transformers has them

    def read_settings(self) -> None:
        self.glow = self.meta.float("glow")  # the key lumen.glow

    def embed(self) -> Node:
        return Scale(super().embed(), self.glow)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        normed = self.norm(x, w, "attn_norm")
        return x + self.attention(normed, w, i) + feed_forward.gated(normed, w, self.hp.ffs[i], "silu")


class LumenCheckpoint(Family):
    """The conversion: names of tensors on the left as the checkpoint has them, and keys that others do not have."""

    arch = "lumen"
    hf_names = ("LumenForCausalLM",)  # `architectures` of config.json
    layer: ClassVar = {
        "norm": "attn_norm",
        "attn.q": "attn_q",
        "attn.k": "attn_k",
        "attn.v": "attn_v",
        "attn.out": "attn_output",
        "mlp.gate": "ffn_gate",
        "mlp.up": "ffn_up",
        "mlp.down": "ffn_down",
    }

    def hparams(self) -> Keys:
        yield from super().hparams()
        yield "glow", self.config.float("glow")
