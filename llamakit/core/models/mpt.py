"""MPT: distances in place of positions (ALiBi) or learned positions, whole rows of q and k normed, or not."""

from __future__ import annotations

from llamakit.core.graph.ops import Activation, Div, Embed, Node, Positions
from llamakit.core.graph.ops.rotation import Rotation
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class Mpt(Transformer):
    arch = "mpt"
    hf_names = ("MPTForCausalLM", "MptForCausalLM")
    has_layer_norm = True

    def read_settings(self) -> None:
        self.max_bias = self.meta.float("attention.max_alibi_bias", 0.0, min=0)

    def embed(self) -> Node:
        table = self.w.find("position_embd", self.hp.n_ctx_train, self.hp.n_embd)
        return super().embed() + Embed(Positions(), table) if table else super().embed()

    def rotation_of(self, i: int) -> Rotation | None:
        return None

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        if w.has("attn_q_norm"):
            return self.norm(q, w, "attn_q_norm"), self.norm(k, w, "attn_k_norm")
        w.pass_over("attn_k_norm.*")
        return q, k

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        n_ff = self.hp.ffs[i]
        hidden: Node = Activation(w.matrix("ffn_up", n_ff, x.width).unscaled(x), "gelu")
        if scales := w.find_bare("ffn.act.scales", n_ff):
            hidden = Div(hidden, scales)
        return w.matrix("ffn_down", x.width, n_ff).unscaled(hidden)
