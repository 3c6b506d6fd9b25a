"""nanochat: no norm has weights, heads are normed once turned, the feed-forward has no gate, logits are capped."""

from __future__ import annotations

from llamakit.core.graph.ops import Node, RmsNorm, Softcap
from llamakit.core.models.blocks import feed_forward
from llamakit.core.models.tensors import Tensors
from llamakit.core.models.transformer import Transformer


class NanoChat(Transformer):
    arch = "nanochat"
    hf_names = ("NanoChatForCausalLM",)
    is_neox = True
    activation = "relu2"

    def norm(self, x: Node, w: Tensors, name: str) -> Node:
        return RmsNorm(x, None, self.hp.eps)

    def embed(self) -> Node:
        return self.norm(super().embed(), self.w, "token_embd_norm")

    def heads(self, q: Node, k: Node, w: Tensors, i: int) -> tuple[Node, Node]:
        q, k = super().heads(q, k, w, i)
        return RmsNorm(q, None, self.hp.eps, n=self.hp.head_dim), RmsNorm(k, None, self.hp.eps, n=self.hp.head_dim)

    def feed_forward(self, x: Node, w: Tensors, i: int) -> Node:
        return feed_forward.plain(x, w, self.hp.ffs[i], self.activation)

    def head(self, x: Node) -> Node:
        logits, cap = super().head(x), self.meta.float("final_logit_softcapping", 0.0, min=0)
        return Softcap(logits, cap) if cap else logits
