"""Orion: Llama with norms that take off the mean."""

from __future__ import annotations

from llamakit.core.models.transformer import Transformer


class Orion(Transformer):
    arch = "orion"
    hf_names = ("OrionForCausalLM",)
    is_neox = True
    has_layer_norm = True
