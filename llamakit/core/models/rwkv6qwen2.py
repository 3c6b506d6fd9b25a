"""QRWKV 6: Qwen 2 with RWKV 6's linear attention, which has neither norms nor a first token's bonus, in its layers."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.blocks.rwkv import NO_HEADS, linear_attention6, read_shape6
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Rwkv6Qwen2(Transformer):
    arch = "rwkv6qwen2"
    hf_names = ("RWKV6Qwen2ForCausalLM",)
    may_be_zero = NO_HEADS

    def read_settings(self) -> None:
        self.shape = read_shape6(self.meta, self.hp.n_embd, self.hp.n_head_kv)

    def rotation_for(self, n_ctx: int) -> Rotation:
        return Rotation(2, 10000.0)

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        return linear_attention6(x, w, self.shape, i)
