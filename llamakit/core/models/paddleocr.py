"""PaddleOCR VL, text: ERNIE 4.5 with other pairs of dimensions; sections of the rotation are one position in text."""

from __future__ import annotations

from llamakit.core.models.transformer import Transformer


class PaddleOCR(Transformer):
    arch = "paddleocr"
    hf_names = ("PaddleOCRVLForConditionalGeneration",)
    is_neox = True
