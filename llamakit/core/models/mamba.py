"""Mamba 1, FalconMamba: layers of a state space, and nothing else."""

from __future__ import annotations

from llamakit.core.graph.ops import Node
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.base import Decoder
from llamakit.core.models.blocks.mamba import mamba, read_mamba
from llamakit.core.models.tensors import Tensors


class Mamba(Decoder):
    arch = "mamba"
    hf_names = ("MambaForCausalLM", "MambaLMHeadModel", "FalconMambaForCausalLM")
    may_be_zero = ("attention.head_count", "attention.head_count_kv", "feed_forward_length")

    def read_settings(self) -> None:
        self.shape = read_mamba(self.meta, self.hp.eps)
        self.has_plain_norms = self.meta.bool("ssm.dt_b_c_rms", False)

    def rotation_for(self, n_ctx: int) -> Rotation:
        return Rotation(2, 10000.0)

    def layer(self, x: Node, w: Tensors, i: int) -> Node:
        normed = self.norm(x, w, "attn_norm")
        return x + mamba(normed, w, self.shape, i, has_plain_norms=self.has_plain_norms)
