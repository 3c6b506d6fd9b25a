"""Qwen 2 VL and 2.5 VL, text: Qwen 2; the sections of its rotation are all one position in text."""

from __future__ import annotations

from llamakit.core.models.hparams import RMS_EPS
from llamakit.core.models.qwen2 import Qwen2


class Qwen2VL(Qwen2):
    arch = "qwen2vl"
    hf_names = ("Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration")

    may_be_zero = (RMS_EPS,)  # llama.cpp does not read it here

    def read_settings(self) -> None:
        self.w.pass_over("output.bias")
