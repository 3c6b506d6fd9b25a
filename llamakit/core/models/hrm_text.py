"""HRM-Text: two stacks of layers that run in turns, the low one several times for each time of the high one."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Add, Node, RmsNorm, SelectRows
from llamakit.core.models.blocks.attention import sigmoid_gate
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer
from llamakit.errors import ModelError


class HrmText(Transformer):
    """Blocks of the file: the low stack's, then the high one's. Each time a layer runs, it has its own cache."""

    arch = "hrm_text"
    hf_names: ClassVar[tuple[str, ...]] = ("HrmTextForCausalLM",)
    is_neox = True

    def read_settings(self) -> None:
        super().read_settings()
        meta = self.meta
        self.n_stack = meta.int("hrm.layers_per_stack", min=1)
        self.n_high, self.n_low = meta.int("hrm.h_cycles", min=1), meta.int("hrm.l_cycles", min=1)
        if self.n_stack * self.n_high * (self.n_low + 1) != self.hp.n_layer:
            raise ModelError(f"{meta.path}: {self.hp.n_layer} layers do not fit the cycles of its stacks")
        self.embedding_scale = meta.float("embedding_scale", 0.0) or 1.0

    def embed(self) -> Node:
        return super().embed() * self.embedding_scale

    def layers(self, x: Node) -> Node:
        high = x
        low: Node = self.w.bare("hrm.z_l_init", self.hp.n_embd)
        n_run = 0
        for _ in range(self.n_high):
            for _ in range(self.n_low):
                low = self.stack(Add(high, low), 0, n_run)
                n_run += 1
            high = self.stack(Add(high, low), self.n_stack, n_run)
            n_run += 1
        return high

    def stack(self, x: Node, first: int, n_run: int) -> Node:
        """The layers from block `first` on, and a norm; n_run stacks ran before."""
        self.first_cache = n_run * self.n_stack - first
        for i in range(first, first + self.n_stack):
            x = self.layer(x, self.w.layer(i, scales_of=self.first_cache + i), i)
        return self.norm(x, self.w, "")

    def norm(self, x: Node, w: Tensors, name: str) -> Node:
        """Norms have no weights."""
        return RmsNorm(x, None, self.hp.eps)

    def gated(self, attended: Node, x: Node, w: Tensors, i: int) -> Node:
        return sigmoid_gate(attended, x, w, attended.width)

    def head(self, x: Node) -> Node:
        return self.w.linear("output" if self.w.has("output") else "token_embd", SelectRows(x), self.n_vocab)
