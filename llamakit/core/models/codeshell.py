"""CodeShell: StarCoder 2 whose embedding may be its output head."""

from __future__ import annotations

from llamakit.core.graph.ops import Embed, Node, Tokens
from llamakit.core.models.starcoder2 import StarCoder2


class CodeShell(StarCoder2):
    arch = "codeshell"
    hf_names = ("CodeShellForCausalLM",)

    def embed(self) -> Node:
        name = "token_embd" if self.w.has("token_embd") else "output"
        return Embed(Tokens(), self.w(name, self.n_vocab, self.hp.n_embd))
