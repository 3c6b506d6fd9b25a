"""EmbeddingGemma: Gemma 3 without causality, its windows to both sides."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.models.encoder import Encoder
from llamakit.core.models.gemma3 import Gemma3


class GemmaEmbedding(Encoder, Gemma3):
    arch = "gemma-embedding"
    hf_names: ClassVar[tuple[str, ...]] = ("Gemma3TextModel",)

    def window_of(self, i: int) -> int:
        """Half of the window lies before a token, half behind."""
        return super().window_of(i) and super().window_of(i) // 2 + 1
