"""Jina BERT 3: XLM-RoBERTa with rotation in place of learned positions."""

from __future__ import annotations

from llamakit.core.models.encoder import PostNormEncoder


class JinaBertV3(PostNormEncoder):
    arch = "jina-bert-v3"
    hf_names = ("XLMRobertaModel",)
