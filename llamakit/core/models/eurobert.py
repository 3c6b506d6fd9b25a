"""EuroBERT: Llama without causality."""

from __future__ import annotations

from llamakit.core.models.encoder import Encoder


class EuroBert(Encoder):
    arch = "eurobert"
    hf_names = ("EuroBertModel",)
