"""Maincoder: heads are normed after they turned."""

from __future__ import annotations

from llamakit.core.models.hunyuan_dense import HunyuanDense


class Maincoder(HunyuanDense):
    arch = "maincoder"
    hf_names = ("MaincoderForCausalLM",)
    is_neox = False
