"""Gemma 1: a large embedding, scaled; GELU; always the embedding as output head."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.graph.ops import Embed, Node, Tokens
from llamakit.core.models.transformer import Transformer


class Gemma(Transformer):
    arch = "gemma"
    hf_names: ClassVar[tuple[str, ...]] = ("GemmaForCausalLM",)
    is_neox = True
    activation = "gelu"

    def embed(self) -> Node:
        table = self.w("token_embd", self.n_vocab, self.hp.n_embd)
        return Embed(Tokens(), table, scale=self.hp.n_embd**0.5)
