"""Qwen 3 VL, text: Qwen 3; the sections of its rotation are all one position in text."""

from __future__ import annotations

from typing import ClassVar

from llamakit.core.models.qwen3 import Qwen3


class Qwen3VL(Qwen3):
    arch = "qwen3vl"
    hf_names: ClassVar[tuple[str, ...]] = ("Qwen3VLForConditionalGeneration",)
    has_ffn_scales = False
