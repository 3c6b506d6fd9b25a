"""Llama as an encoder."""

from __future__ import annotations

from llamakit.core.models.encoder import Encoder
from llamakit.core.models.llama import Llama


class LlamaEmbed(Encoder, Llama):
    arch = "llama-embed"
    hf_names = ("LlamaBidirectionalModel",)
    is_neox = False
