"""LFM 2: layers of attention, and of short convolutions between two gates."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Mul, Node
from llamakit.core.graph.ops.recurrent import Convolution
from llamakit.core.models.expert_transformer import ExpertTransformer
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import HeadNorms


class Lfm2(HeadNorms, ExpertTransformer):
    arch = "lfm2"
    hf_names: ClassVar[tuple[str, ...]] = ("Lfm2ForCausalLM",)
    is_neox = True
    is_normed = True
    last_norm = "token_embd_norm"

    def read_settings(self) -> None:
        super().read_settings()
        self.w.pass_over("dense_2.*", "blk.*.attn_output.bias")
        self.n_taps = self.meta.int("shortconv.l_cache", min=2, max=64)

    def is_dense(self, i: int) -> bool:
        return True

    def attention(self, x: Node, w: Tensors, i: int) -> Node:
        if self.hp.heads_kv[i]:
            return super().attention(x, w, i)
        n = x.width
        whole = w.matrix("shortconv.in_proj", 3 * n, n)
        b, c, inner = (whole.part(k * n, n)(x) for k in range(3))
        y = Convolution(Mul(b, inner), w("shortconv.conv", n, self.n_taps), i, w.find("shortconv.conv.bias", n))
        return w.linear("shortconv.out_proj", Mul(c, y), n)
