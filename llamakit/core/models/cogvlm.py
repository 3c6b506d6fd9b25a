"""CogVLM, text: Llama; the second set of weights is for images."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class CogVLM(Transformer):
    arch = "cogvlm"
    hf_names = ("CogVLMForCausalLM",)

    def read_settings(self) -> None:
        self.w.pass_over("blk.*.vis_*", "rope_freqs.weight")

    def rotation_for(self, n_ctx: int) -> Rotation:
        return Rotation(self.hp.head_dim, 10000.0, is_neox=True)

    def qkv(self, x: Node, w: Tensors, i: int) -> tuple[Node, Node, Node]:
        n_q, n_kv = self.hp.n_head * self.hp.head_dim, self.hp.n_head_kv * self.hp.head_dim
        whole = w.matrix("attn_qkv", 3 * n_q, x.width)
        q, k, v = (whole.part(first, n).unscaled(x) for first, n in ((0, n_q), (n_q, n_kv), (2 * n_q, n_kv)))
        return q, k, v
